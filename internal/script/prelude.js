// What stands around a user's script in its virtual machine. It is evaluated
// once, before the script, keeps what it needs of the language for itself, and
// returns the functions that the gateway calls. See encode.go for what they take
// and answer.
(function (file, maxState) {
  'use strict';
  const { parse, stringify } = JSON;
  const { is, keys, seal, setPrototypeOf, getOwnPropertyNames, defineProperty } = Object;
  const { isArray } = Array;
  const { isInteger } = Number;
  const { apply } = Reflect;
  const toBigInt = BigInt, text = String, Places = Map;
  const types = ['none', 'float64', 'int64', 'uint64', 'bool', 'text'];
  const minInt = -(2n ** 63n), maxUint = 2n ** 64n - 1n;
  const maxSamples = 65535, maxText = 65536;

  // The console keeps a few short lines for the gateway's log.
  const maxLines = 20, maxLine = 1000;
  let lines = [], missed = 0;

  function inspect(v, depth) {
    if (typeof v === 'string') return depth === 0 ? v : stringify(v.length > maxLine ? v.slice(0, maxLine) : v);
    if (typeof v === 'bigint') return text(v) + 'n';
    if (is(v, -0)) return '-0';
    if (typeof v === 'function') return '[Function: ' + v.name + ']';
    if (typeof v !== 'object' || v === null) return text(v);
    if (v instanceof Error) return v.name + ': ' + v.message;
    if (v instanceof Date) return v.toISOString();
    if (depth > 2) return isArray(v) ? '[Array]' : '[Object]';
    if (v instanceof Report) v = v.toJSON();
    const parts = [], list = isArray(v), names = list ? null : keys(v), n = list ? v.length : names.length;
    for (let i = 0; i < n && i < 10; i++) {
      parts[i] = list ? inspect(v[i], depth + 1) : names[i] + ': ' + inspect(v[names[i]], depth + 1);
    }
    if (n > 10) parts[10] = '… ' + (n - 10) + ' more';
    const inner = parts.join(', ');
    return list ? '[' + inner + ']' : inner === '' ? '{}' : '{ ' + inner + ' }';
  }

  function say(level, args) {
    if (lines.length >= maxLines) {
      missed++;
      return;
    }
    let line = '';
    for (let i = 0; i < args.length && line.length < maxLine; i++) line += (i > 0 ? ' ' : '') + inspect(args[i], 0);
    lines[lines.length] = [level, line.slice(0, maxLine)];
  }

  globalThis.console = {
    debug(...args) { say('debug', args); },
    log(...args) { say('info', args); },
    info(...args) { say('info', args); },
    warn(...args) { say('warn', args); },
    error(...args) { say('error', args); },
  };
  globalThis.module = { exports: {} };
  globalThis.exports = module.exports;
  globalThis.require = function (name) {
    throw new Error('a script is one file without modules: require(' + stringify(text(name)) + ') has nothing to load');
  };

  // A Report is what the script is given. Only its samples can be changed; they are
  // made when it first asks for them.
  class Report {
    #about;
    #given;
    #samples;
    constructor(about) {
      this.#about = about;
      defineProperty(this, 'samples', samplesProperty);
    }
    get controller() { return this.#about.c; }
    get source() { return this.#about.f; }
    get epoch() { return this.#about.e; }
    get seq() { return this.#about.q; }
    get key() { return this.#about.k; }
    get receivedTimeNs() { return toBigInt(this.#about.r); }
    toJSON() {
      return { controller: this.controller, source: this.source, epoch: this.epoch, seq: this.seq, key: this.key, samples: this.samples };
    }
    static samples(r) {
      if (r.#given === undefined) r.#samples = build(r.#given = new Given(r.#about));
      return r.#samples;
    }
    static replace(r, samples) {
      if (r.#given === undefined) r.#given = new Given(r.#about);
      r.#samples = samples;
    }
    // after puts what goes on into out, as list does.
    static after(out, r, answer) {
      const own = answer === undefined || answer === r;
      if (own && r.#given === undefined) return; // never asked for
      list(out, own ? r.#samples : answer.samples, r.#given ?? new Given(r.#about));
    }
  }
  const samplesProperty = {
    enumerable: true,
    get() { return Report.samples(this); },
    set(samples) { Report.replace(this, samples); },
  };

  // A Context is the second argument. What the script keeps in its state must be
  // what JSON can say; it is read only when the script asks for it.
  class Context {
    #text;
    #value;
    constructor(text) { this.#text = text; }
    get state() {
      if (this.#value === undefined) this.#value = setPrototypeOf(this.#text === '' ? {} : parse(this.#text), null);
      return this.#value;
    }
    set state(v) {
      if (typeof v !== 'object' || v === null || isArray(v)) throw new TypeError('ctx.state is an object: a ' + nameOf(v) + ' cannot take its place');
      this.#value = v;
    }
    // after returns the state as it is to be kept, undefined when it has not changed.
    static after(ctx) {
      if (ctx.#value === undefined) return undefined;
      let kept;
      try {
        kept = stringify(ctx.#value);
      } catch (e) {
        if (!(e instanceof TypeError)) throw e;
        throw new TypeError('ctx.state cannot be kept: ' + e.message + '; it holds what JSON can say');
      }
      if (kept === undefined) throw new TypeError('ctx.state cannot be kept: its toJSON gives nothing');
      if (kept.length > maxState) throw new RangeError('ctx.state has ' + kept.length + ' characters, and at most ' + maxState + ' bytes are kept of a controller');
      if (kept === '{}') kept = '';
      return kept === ctx.#text ? undefined : kept;
    }
  }

  function nameOf(v) {
    return v === null ? 'null' : isArray(v) ? 'array' : typeof v;
  }

  // Given is what the samples of a request were, so that what the script changed can
  // be told. What all have alike stands there once.
  class Given {
    constructor(about) {
      const { p: points, v: values, u: units, t: times, y: kinds, x: extras } = about;
      this.points = points;
      this.values = values;
      this.oneUnit = typeof units === 'string';
      this.units = units;
      this.oneTime = typeof times === 'string';
      this.times = this.oneTime ? toBigInt(times) : times;
      this.oneType = typeof kinds === 'number';
      this.types = this.oneType ? types[kinds] : kinds;
      this.extras = undefined;
      this.made = []; // the samples as the script got them
      let last, time;
      for (let i = 0; !this.oneTime && i < times.length; i++) {
        if (times[i] !== last) {
          last = times[i];
          time = last === null ? null : toBigInt(last);
        }
        times[i] = time;
      }
      for (let i = 0; !this.oneType && i < kinds.length; i++) kinds[i] = types[kinds[i]];
      if (extras === undefined) return;
      this.extras = new Places();
      for (let i = 0; i < extras.length; i++) {
        const x = extras[i];
        this.extras.set(x.i, x);
        if (x.b !== undefined) values[x.i] = toBigInt(x.b);
        if (x.f !== undefined) values[x.i] = +x.f;
      }
    }
  }

  // build makes the samples.
  function build(given) {
    const { points, values, oneUnit, units, oneTime, times, oneType, types, extras, made } = given, samples = [];
    for (let i = 0; i < points.length; i++) {
      samples[i] = made[i] = {
        point: points[i], value: values[i], unit: oneUnit ? units : units[i], status: 'Good',
        timeNs: oneTime ? times : times[i], type: oneType ? types : types[i],
      };
    }
    if (extras === undefined) return samples;
    extras.forEach((x, i) => {
      const s = samples[i];
      if (x.s !== undefined) s.status = x.s;
      if (x.n !== undefined) s.native = x.n;
      if (x.h !== undefined) s.historical = true;
      if (x.g !== undefined) s.gatewayClock = true;
    });
    return samples;
  }

  // same is Object.is, without a call.
  const same = (a, b) => (a === b ? a !== 0 || 1 / a === 1 / b : a !== a && b !== b);

  function wrong(i, point, what) {
    const name = typeof point === 'string' ? ' ' + stringify(point.slice(0, 60)) : '';
    return new TypeError('samples[' + i + ']' + name + ': ' + what);
  }

  function string(v, i, point, field) {
    if (typeof v !== 'string') throw wrong(i, point, field + ' is a ' + nameOf(v) + ', not a string');
    if (v.length > maxText) throw wrong(i, point, field + ' has ' + v.length + ' characters, more than any text may have');
    return v;
  }

  // valueOf puts a value and its type into what JSON can say.
  function valueOf(c, v, type, i, point) {
    if (type !== undefined) c.y = string(type, i, point, 'type');
    switch (typeof v) {
      case 'number':
        if (v - v === 0 && (v !== 0 || 1 / v > 0)) {
          c.k = 'n';
          c.v = v;
          return;
        }
        c.k = 'f'; // JSON has no infinity, no NaN, and no -0 that stringify would write
        c.v = v === 0 ? '-0' : text(v);
        return;
      case 'bigint':
        if (v < minInt || v > maxUint) throw wrong(i, point, 'the value fits neither int64 nor uint64');
        c.k = 'i';
        c.v = text(v);
        return;
      case 'boolean':
        c.k = 'b';
        c.v = v;
        return;
      case 'string':
        c.k = 's';
        c.v = string(v, i, point, 'value');
        return;
    }
    if (v !== null) throw wrong(i, point, 'the value is a ' + nameOf(v) + '; null stands for no value');
    c.k = 'z';
  }

  function statusOf(status, i, point) {
    return status === undefined || status === '' ? 'Good' : typeof status === 'number' ? text(status) : string(status, i, point, 'status');
  }

  function nativeOf(native, i, point) {
    if (!isInteger(native) || native < 0 || native > 0xffffffff) throw wrong(i, point, 'native is no whole number of 32 bits');
    return native;
  }

  function timeOf(c, t, gateway, i, point) {
    if (t === null && gateway) c.t = '';
    else if (typeof t === 'bigint') {
      if (t < minInt || t >= -minInt) throw wrong(i, point, 'timeNs is outside what 64 bits of nanoseconds hold');
      c.t = text(t);
    } else if (t !== undefined && t !== null) {
      throw wrong(i, point, 'timeNs is a ' + nameOf(t) + ': it counts nanoseconds in a BigInt, as BigInt(Date.now()) * 1_000_000n');
    }
  }

  // entry returns the place of a sample that is as it was given, what differs in one
  // that is not, and all of a new one.
  function entry(s, given, place, i) {
    if (typeof s !== 'object' || s === null) throw wrong(i, undefined, 'is a ' + nameOf(s) + ', not a sample');
    const { point, value, unit, status, timeNs, type, native, historical, gatewayClock } = s;
    if (place === undefined) return fresh(i, point, value, unit, status, timeNs, type, native, historical, gatewayClock);
    const { extras } = given, x = extras === undefined ? undefined : extras.get(place);
    if (timeNs !== (given.oneTime ? given.times : given.times[place])) {
      throw wrong(i, point, 'timeNs is the clock of the controller and is never rewritten: make a new sample');
    }
    const was = given.points[place], kind = given.oneType ? given.types : given.types[place];
    let c;
    if (point !== was) (c = { i: place }).p = string(point, i, point, 'point');
    if (type !== kind || !same(value, given.values[place])) valueOf(c ??= { i: place }, value, type === kind ? undefined : type, i, point);
    if (unit !== (given.oneUnit ? given.units : given.units[place])) (c ??= { i: place }).u = unit === undefined ? '' : string(unit, i, point, 'unit');
    if (status !== (x?.s ?? 'Good')) (c ??= { i: place }).s = statusOf(status, i, point);
    if (native !== x?.n) (c ??= { i: place }).n = native === undefined ? 0 : nativeOf(native, i, point);
    if ((historical === true) !== (x?.h !== undefined)) (c ??= { i: place }).h = historical === true;
    return c ?? place;
  }

  function fresh(i, point, value, unit, status, timeNs, type, native, historical, gatewayClock) {
    const c = { p: string(point, i, point, 'point') };
    valueOf(c, value, type, i, point);
    if (unit !== undefined) c.u = string(unit, i, point, 'unit');
    if (status !== undefined) c.s = statusOf(status, i, point);
    if (native !== undefined) c.n = nativeOf(native, i, point);
    if (historical === true) c.h = true;
    c.g = gatewayClock === true;
    timeOf(c, timeNs, c.g, i, point);
    return c;
  }

  // list puts into out the entries of the samples that go on: nothing when they are as
  // they were given, and what differs in some when all are in their places.
  function list(out, samples, given) {
    if (!isArray(samples)) throw new TypeError('the samples are a ' + nameOf(samples) + ', not an array');
    const n = samples.length, entries = [], changes = [];
    const { made, points, values, oneUnit, units, oneTime, times, oneType, types, extras } = given;
    if (n > maxSamples) throw new RangeError('a report has at most ' + maxSamples + ' samples, this one has ' + n);
    let inPlace = n === points.length, places;
    for (let i = 0, next = 0; i < n; i++) {
      const s = samples[i];
      // Most are in their place and as they were; zero and NaN are looked at more closely.
      if (s === made[i] && s.value === values[i] && s.value !== 0 && s.point === points[i] && s.unit === (oneUnit ? units : units[i]) &&
        s.timeNs === (oneTime ? times : times[i]) && s.type === (oneType ? types : types[i]) &&
        s.status === 'Good' && s.native === undefined && s.historical === undefined && extras === undefined) {
        entries[i] = i;
        next = i + 1;
        continue;
      }
      let place = next < made.length && made[next] === s ? next : undefined;
      if (place === undefined) {
        if (places === undefined) {
          places = new Places();
          for (let k = 0; k < made.length; k++) places.set(made[k], k);
        }
        place = places.get(s);
      }
      const e = entry(s, given, place, i);
      if (place !== undefined) next = place + 1;
      entries[i] = e;
      if (place !== i) inPlace = false;
      else if (e !== i) changes[changes.length] = e;
    }
    if (!inPlace) out.o = entries;
    else if (changes.length > 0) out.c = changes;
  }

  let onReport, state = 'pending', problem;

  function take(m) {
    const d = m.default, e = module.exports;
    onReport = m.onReport;
    if (onReport === undefined && d !== undefined && d !== null) onReport = typeof d === 'function' ? d : d.onReport;
    if (onReport === undefined && e !== undefined && e !== null) onReport = typeof e === 'function' ? e : e.onReport;
    if (typeof onReport !== 'function') {
      refuse(new TypeError('the script exports no function onReport(report, ctx)'));
      return;
    }
    state = 'ready';
    harden();
  }

  function refuse(e) {
    state = 'failed';
    problem = e;
  }

  // harden closes what the language gives, so that a report cannot add anything to
  // it that the next one meets: no key of a report's data can become a property of
  // every object.
  function harden() {
    const names = getOwnPropertyNames(globalThis);
    for (let i = 0; i < names.length; i++) {
      if (names[i] === 'globalThis' || names[i] === 'module' || names[i] === 'exports') continue;
      const v = globalThis[names[i]];
      if (typeof v !== 'function' && (typeof v !== 'object' || v === null)) continue;
      seal(v);
      if (typeof v.prototype === 'object' && v.prototype !== null) seal(v.prototype);
    }
  }

  return {
    load() { import(file).then(take, refuse); },
    // loaded tells the line of onReport, or throws why there is none.
    loaded() {
      if (state === 'failed') throw problem;
      if (state === 'pending') throw new Error('the script waits at its top level for what never comes: there is nothing to wait for in a script');
      return onReport.lineNumber | 0;
    },
    run(request, kept) {
      lines = [];
      missed = 0;
      const report = new Report(parse(request)), ctx = new Context(kept);
      const answer = apply(onReport, undefined, [report, ctx]);
      const out = {};
      if (answer === null) out.d = true;
      else if (answer === undefined) Report.after(out, report);
      else if (typeof answer !== 'object') throw new TypeError('onReport returned a ' + nameOf(answer) + ': it returns the report, or nothing when it changed it in place, or null to drop it');
      else if (typeof answer.then === 'function') throw new TypeError('onReport is async: it has nothing to wait for, take the word away');
      else Report.after(out, report, answer);
      out.k = Context.after(ctx);
      if (lines.length > 0) out.l = lines;
      if (missed > 0) out.m = missed;
      return out.d === undefined && out.o === undefined && out.c === undefined && out.k === undefined && lines.length === 0 ? '' : stringify(out);
    },
    lines() { return lines.length === 0 ? '' : stringify({ l: lines, m: missed }); },
  };
})
