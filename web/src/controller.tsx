export function Controller({ name }: { name: string }) { return <h1>{name}</h1> }
