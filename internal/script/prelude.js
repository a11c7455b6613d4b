// What stands around a user's script in its virtual machine. It is evaluated
// once, before the script, keeps what it needs of the language for itself, and
// returns the functions that the gateway calls. See encode.go for what they take
// and answer.
(function (file, maxState) {
  'use strict';
  const { parse, stringify } = JSON;
  const { is, keys, seal, setPrototypeOf, getOwnPropertyNames } = Object;
  const { isArray } = Array;
  const { isFinite, isInteger, isSafeInteger } = Number;
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

  // A Report is what the script is given. Only its samples can be changed.
  class Report {
    #about;
    constructor(about, samples) {
      this.#about = about;
      this.samples = samples;
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
  }

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

  // build makes the samples of a request.
  function build(about) {
    const points = about.p, values = about.v, units = about.u, times = about.t, kinds = about.y, samples = [];
    let last, time = null;
    for (let i = 0; i < points.length; i++) {
      const t = typeof times === 'string' ? times : times[i];
      if (t !== last) {
        last = t;
        time = t === null ? null : toBigInt(t);
      }
      samples[i] = {
        point: points[i], value: values[i], unit: units === undefined ? '' : units[i], status: 'Good',
        timeNs: time, type: types[typeof kinds === 'number' ? kinds : kinds[i]],
      };
    }
    const extra = about.x;
    if (extra === undefined) return samples;
    for (let i = 0; i < extra.length; i++) {
      const x = extra[i], s = samples[x.i];
      if (x.b !== undefined) s.value = toBigInt(x.b);
      if (x.f !== undefined) s.value = +x.f;
      if (x.s !== undefined) s.status = x.s;
      if (x.n !== undefined) s.native = x.n;
      if (x.h !== undefined) s.historical = true;
      if (x.g !== undefined) s.gatewayClock = true;
    }
    return samples;
  }

  // plain copies what was given, so that what the script changed can be told.
  function plain(samples) {
    const all = [];
    for (let i = 0; i < samples.length; i++) {
      const s = samples[i];
      all[i] = [s, s.point, s.value, s.unit, s.status, s.timeNs, s.type, s.native, s.historical, s.gatewayClock];
    }
    return all;
  }

  function wrong(i, point, what) {
    const name = typeof point === 'string' ? ' ' + stringify(point.slice(0, 60)) : '';
    return new TypeError('samples[' + i + ']' + name + ': ' + what);
  }

  function string(v, i, point, field) {
    if (typeof v !== 'string') throw wrong(i, point, field + ' is a ' + nameOf(v) + ', not a string');
    if (v.length > maxText) throw wrong(i, point, field + ' has ' + v.length + ' characters, more than any text may have');
    return v;
  }

  // valueOf puts a value into what JSON can say.
  function valueOf(c, v, i) {
    switch (typeof v) {
      case 'number':
        c.k = is(v, -0) || !isFinite(v) ? 'f' : 'n';
        c.v = c.k === 'n' ? v : is(v, -0) ? '-0' : text(v);
        return;
      case 'bigint':
        if (v < minInt || v > maxUint) throw wrong(i, c.p, 'the value fits neither int64 nor uint64');
        c.k = 'i';
        c.v = text(v);
        return;
      case 'boolean':
        c.k = 'b';
        c.v = v;
        return;
      case 'string':
        c.k = 's';
        c.v = string(v, i, c.p, 'value');
        return;
    }
    if (v !== null) throw wrong(i, c.p, 'the value is a ' + nameOf(v) + '; null stands for no value');
    c.k = 'z';
  }

  function timeOf(c, t, gateway, i) {
    if (t === null && gateway) c.t = '';
    else if (typeof t === 'bigint') {
      if (t < minInt || t >= -minInt) throw wrong(i, c.p, 'timeNs is outside what 64 bits of nanoseconds hold');
      c.t = text(t);
    } else if (t !== undefined && t !== null) {
      throw wrong(i, c.p, 'timeNs is a ' + nameOf(t) + ': it counts nanoseconds in a BigInt, as BigInt(Date.now()) * 1_000_000n');
    }
  }

  // entry returns the place of a sample that is as it was given, or what is new in it.
  function entry(s, was, place, i) {
    if (typeof s !== 'object' || s === null) throw wrong(i, undefined, 'is a ' + nameOf(s) + ', not a sample');
    const { point, value, unit, status, timeNs, type, native, historical, gatewayClock } = s;
    if (was !== undefined) {
      if (timeNs !== was[5]) throw wrong(i, point, 'timeNs is the clock of the controller and is never rewritten: make a new sample');
      if (point === was[1] && is(value, was[2]) && unit === was[3] && status === was[4] && type === was[6] &&
        native === was[7] && historical === was[8] && gatewayClock === was[9]) return place;
    }
    const c = { p: string(point, i, point, 'point') };
    valueOf(c, value, i);
    if (unit !== undefined) c.u = string(unit, i, point, 'unit');
    if (typeof status === 'number') c.s = text(status);
    else if (status !== undefined) c.s = string(status, i, point, 'status');
    if (type !== undefined) c.y = string(type, i, point, 'type');
    if (native !== undefined) {
      if (!isInteger(native) || native < 0 || native > 0xffffffff) throw wrong(i, point, 'native is no whole number of 32 bits');
      c.n = native;
    }
    c.h = historical === true;
    c.g = gatewayClock === true;
    if (was !== undefined) c.i = place;
    else timeOf(c, timeNs, c.g, i);
    return c;
  }

  // list returns the entries of the samples that go on, and undefined when they are
  // as they were given.
  function list(samples, given) {
    if (!isArray(samples)) throw new TypeError('the samples are a ' + nameOf(samples) + ', not an array');
    const n = samples.length, entries = [];
    if (n > maxSamples) throw new RangeError('a report has at most ' + maxSamples + ' samples, this one has ' + n);
    let same = n === given.length, places;
    for (let i = 0, next = 0; i < n; i++) {
      const s = samples[i];
      let place = next < given.length && given[next][0] === s ? next : undefined;
      if (place === undefined) {
        if (places === undefined) {
          places = new Places();
          for (let k = 0; k < given.length; k++) places.set(given[k][0], k);
        }
        place = places.get(s);
      }
      const e = entry(s, place === undefined ? undefined : given[place], place, i);
      if (place !== undefined) next = place + 1;
      if (e !== i) same = false;
      entries[i] = e;
    }
    return same ? undefined : entries;
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
      const about = parse(request), samples = build(about), given = plain(samples);
      const report = new Report(about, samples), ctx = new Context(kept);
      const answer = apply(onReport, undefined, [report, ctx]);
      const out = {};
      if (answer === null) out.d = true;
      else if (answer === undefined) out.o = list(report.samples, given);
      else if (typeof answer !== 'object') throw new TypeError('onReport returned a ' + nameOf(answer) + ': it returns the report, or nothing when it changed it in place, or null to drop it');
      else if (typeof answer.then === 'function') throw new TypeError('onReport is async: it has nothing to wait for, take the word away');
      else out.o = list(answer.samples, given);
      out.k = Context.after(ctx);
      if (lines.length > 0) out.l = lines;
      if (missed > 0) out.m = missed;
      return out.d === undefined && out.o === undefined && out.k === undefined && lines.length === 0 ? '' : stringify(out);
    },
    lines() { return lines.length === 0 ? '' : stringify({ l: lines, m: missed }); },
  };
})
