// Computes three days of the town, keeps the last one at one value a minute,
// and writes it as controllers with their points. See FORMAT.md.

import { writeFileSync } from 'node:fs';
import { Project, Workspace, InitHydOption, LinkProperty, NodeProperty, CountType } from 'epanet-js';
import { build, loggers, pumpsPerStation, randomFrom, sources, stations, tanks, DAY, MINUTE } from './town.js';
import { encode, Kind } from './format.js';

const METRE_OF_WATER = 0.0980665; // bar

// simulate runs the model and returns, for every minute of the last day, what
// every node and link had.
async function simulate() {
  const workspace = new Workspace();
  await workspace.loadModule();
  const model = new Project(workspace);
  build(model);
  const nodes = model.getCount(CountType.NodeCount);
  const links = model.getCount(CountType.LinkCount);
  const minutes = [];
  model.openH();
  model.initH(InitHydOption.NoSave);
  for (let step = 1; step > 0;) {
    const now = model.runH();
    if (now >= 2 * DAY && now < 3 * DAY && now % MINUTE === 0) {
      const at = { nodes: {}, links: {} };
      for (let i = 1; i <= nodes; i++) {
        at.nodes[model.getNodeId(i)] = {
          pressure: model.getNodeValue(i, NodeProperty.Pressure),
          head: model.getNodeValue(i, NodeProperty.Head),
          demand: model.getNodeValue(i, NodeProperty.Demand),
        };
      }
      for (let i = 1; i <= links; i++) {
        at.links[model.getLinkId(i)] = {
          flow: model.getLinkValue(i, LinkProperty.Flow),
          power: model.getLinkValue(i, LinkProperty.Energy),
        };
      }
      minutes.push(at);
    }
    step = model.nextH();
  }
  model.closeH();
  model.close();
  return minutes;
}

const point = (name, kind, unit, decimals, values) => ({ name, kind, unit, decimals, values });

// analog is a measured value with the resolution of its instrument.
const analog = (name, unit, decimals, values) => point(name, Kind.float, unit, decimals, values);

// counter adds up a rate an hour, in whole units, from zero at the day's start.
function counter(name, unit, ratePerHour) {
  let sum = 0;
  return point(name, Kind.counter, unit, 0, ratePerHour.map((rate) => (sum += Math.max(rate, 0) / 60)));
}

const flag = (name, values) => point(name, Kind.bool, '', 0, values);
const text = (name, values) => point(name, Kind.text, '', 0, values);

function station(minutes, { name }) {
  const total = minutes.map(() => 0);
  const points = [];
  for (let k = 1; k <= pumpsPerStation; k++) {
    const pump = minutes.map((m) => m.links[`${name}/pump-${k}`]);
    const flow = pump.map((p) => Math.max(p.flow, 0));
    const running = flow.map((f) => f > 0.5);
    flow.forEach((f, i) => { total[i] += f; });
    points.push(
      analog(`pump-${k}/flow`, 'm3/h', 1, flow),
      analog(`pump-${k}/power`, 'kW', 2, pump.map((p) => p.power)),
      flag(`pump-${k}/running`, running),
      counter(`pump-${k}/energy`, 'W.h', pump.map((p) => 1000 * p.power)),
      counter(`pump-${k}/run-time`, 's', running.map((r) => (r ? 3600 : 0))),
      text(`pump-${k}/mode`, minutes.map((_, i) => (k === 3 && i >= 600 && i < 655 ? 'hand' : 'auto'))),
    );
  }
  points.push(
    analog('suction/pressure', 'bar', 3, minutes.map((m) => m.nodes[`${name}-in`].pressure * METRE_OF_WATER)),
    analog('discharge/pressure', 'bar', 3, minutes.map((m) => m.nodes[`${name}-out`].pressure * METRE_OF_WATER)),
    analog('total/flow', 'm3/h', 1, total),
    counter('total/volume', 'L', total.map((f) => 1000 * f)),
    text('mode', minutes.map((_, i) => (i >= 600 && i < 655 ? 'maintenance – crew on site' : 'automatic'))),
    flag('door/open', minutes.map((_, i) => i >= 598 && i < 657)),
  );
  return { name: `pumps-${name}`, kind: 'pump station', points };
}

function tank(minutes, { name, at, elevation, diameter }) {
  const level = minutes.map((m) => m.nodes[name].head - elevation);
  const inflow = minutes.map((m) => m.links[`${at}>${name}`].flow);
  return {
    name: `tank-${name}`,
    kind: 'tank',
    points: [
      analog('level', 'm', 3, level),
      analog('volume', 'm3', 1, level.map((l) => l * Math.PI * diameter * diameter / 4)),
      analog('inflow', 'm3/h', 1, inflow),
      analog('outlet/pressure', 'bar', 3, minutes.map((m) => m.nodes[at].pressure * METRE_OF_WATER)),
      flag('level/high', level.map((l) => l > 4.5)),
      flag('level/low', level.map((l) => l < 1.8)),
      counter('inflow/volume', 'L', inflow.map((f) => 1000 * f)),
      text('state', inflow.map((f) => (f > 2 ? 'filling' : f < -2 ? 'emptying' : 'resting'))),
    ],
  };
}

function source(minutes, { name }) {
  const { name: pumps } = stations.find((s) => s.from === name);
  const flow = minutes.map((m) => m.links[`${name}>${pumps}-in`].flow);
  const random = randomFrom(name.length * 104729);
  let turbidity = 0.6;
  let temperature = 9.4;
  return {
    name: `source-${name}`,
    kind: 'source',
    points: [
      analog('flow', 'm3/h', 1, flow),
      counter('volume', 'L', flow.map((f) => 1000 * f)),
      analog('outlet/pressure', 'bar', 3, minutes.map((m) => m.nodes[`${pumps}-in`].pressure * METRE_OF_WATER)),
      analog('turbidity', '{NTU}', 2, minutes.map(() => (turbidity += 0.02 * (random() - 0.5) + 0.01 * (0.6 - turbidity)))),
      analog('temperature', 'Cel', 2, minutes.map((_, i) => (temperature += 0.004 * Math.sin(2 * Math.PI * (i - 540) / 1440) + 0.005 * (random() - 0.5)))),
      flag('screen/blocked', minutes.map((_, i) => i >= 1010 && i < 1024)),
    ],
  };
}

function logger(minutes, { name, node }, index) {
  const random = randomFrom(7 * index + 3);
  const demand = minutes.map((m) => m.nodes[node].demand);
  let signal = -70 - 20 * random();
  const base = signal;
  return {
    name: `logger-${name}`,
    kind: 'logger',
    points: [
      analog('pressure', 'bar', 2, minutes.map((m) => m.nodes[node].pressure * METRE_OF_WATER)),
      analog('flow', 'm3/h', 1, demand),
      counter('volume', 'L', demand.map((f) => 1000 * f)),
      analog('battery', 'V', 2, minutes.map((_, i) => 3.62 + 0.03 * Math.sin(2 * Math.PI * (i - 480) / 1440))),
      point('signal', Kind.int, 'dB[mW]', 0, minutes.map(() => Math.round(signal += 1.2 * (random() - 0.5) + 0.02 * (base - signal)))),
    ],
  };
}

const minutes = await simulate();
if (minutes.length !== 1440) throw new Error(`the engine gave ${minutes.length} minutes of the day, not 1440`);
for (const m of minutes) {
  for (const [name, node] of Object.entries(m.nodes)) {
    if (!(node.pressure > -0.5)) throw new Error(`${name} has a pressure of ${node.pressure} m: mend the town`);
  }
}
const controllers = [
  ...stations.map((s) => station(minutes, s)),
  ...tanks.map((t) => tank(minutes, t)),
  ...sources.map((s) => source(minutes, s)),
  ...loggers().map((l, i) => logger(minutes, l, i)),
];
const out = new URL('../../internal/sim/network.bin', import.meta.url);
const data = encode({ step: MINUTE, steps: minutes.length, controllers });
writeFileSync(out, data);
const points = controllers.reduce((n, c) => n + c.points.length, 0);
console.error(`${Object.keys(minutes[0].nodes).length} nodes, ${controllers.length} controllers, ${points} points, ${minutes.length} minutes: ${data.length} bytes`);
