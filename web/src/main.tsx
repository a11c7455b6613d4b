import { render } from 'preact'
import { whoAmI } from './api'
import { App } from './app'
import { session } from './state'
import { follow } from './stream'
import './style.css'

follow()
render(<App />, document.getElementById('app')!)
whoAmI().then((who) => { session.value = who }, () => { session.value = null })
