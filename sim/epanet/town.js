// The town: a water network of our own, built through the engine's builder API.
// Flows are in m3/h, heads, levels and pressures in m, lengths in m, diameters
// in mm. Everything here is invented; nothing is taken from a real utility.

import {
  ControlType, FlowUnits, HeadLossType, LinkProperty, LinkType, NodeType, TimeParameter,
} from 'epanet-js';

export const MINUTE = 60;
export const DAY = 24 * 60 * MINUTE;

// A generator of pseudo-random numbers in [0, 1) that is the same everywhere.
export function randomFrom(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// The zones: a grid of streets each, with the ground falling to the south-east.
export const zones = [
  { name: 'harbour', columns: 7, rows: 4, high: 48, fall: 22, demand: 7.5 },
  { name: 'millfield', columns: 7, rows: 4, high: 52, fall: 20, demand: 6.5 },
  { name: 'highmoor', columns: 7, rows: 4, high: 102, fall: 24, demand: 4.5 },
];

const streets = [
  'anchor', 'barley', 'candle', 'drover', 'ember', 'ferry', 'garland', 'heron', 'ivy', 'juniper',
  'kiln', 'lantern', 'meadow', 'nettle', 'orchard', 'pepper', 'quarry', 'rowan', 'saddler', 'tanner',
  'union', 'vesper', 'willow', 'yarrow', 'ash', 'brook', 'cooper', 'dale',
];

export const sources = [
  { name: 'river-intake', head: 20 },
  { name: 'north-wells', head: 34 },
];

export const tanks = [
  { name: 'beacon-hill', at: 'harbour-0', elevation: 78, diameter: 24 },
  { name: 'mill-lane', at: 'millfield-6', elevation: 80, diameter: 20 },
  { name: 'moor-top', at: 'highmoor-3', elevation: 128, diameter: 16 },
];

// Each station lifts water from one place to another, for the level of one tank.
export const stations = [
  { name: 'riverside', from: 'river-intake', to: 'harbour-14', tank: 'beacon-hill', flow: 170, lift: 72, ground: 18 },
  { name: 'northfield', from: 'north-wells', to: 'millfield-0', tank: 'mill-lane', flow: 62, lift: 58, ground: 30 },
  { name: 'gasworks', from: 'harbour-3', to: 'highmoor-24', tank: 'moor-top', flow: 52, lift: 62, ground: 40 },
  { name: 'canal-bridge', from: 'harbour-6', to: 'millfield-21', tank: 'mill-lane', flow: 26, lift: 18, ground: 36 },
];

export const pumpsPerStation = 3;

// Pump k starts below its first level and stops above its second, in m.
const rules = [[3.1, 4.6], [2.4, 4.0], [1.6, 3.3]];

// bump is a bell around an hour of the day that knows that the day is round.
function bump(hour, centre, width) {
  const d = Math.abs(hour - centre);
  const distance = Math.min(d, 24 - d) / width;
  return Math.exp(-distance * distance);
}

// The day's demand, a value for every five minutes.
const patterns = {
  homes: (h) => 0.32 + 1.25 * bump(h, 7.3, 1.7) + 0.55 * bump(h, 13, 3) + 1.1 * bump(h, 19.2, 2.4),
  shops: (h) => 0.25 + 1.35 * bump(h, 11, 3) + 1.0 * bump(h, 16, 2.6),
  works: (h) => 0.7 + 0.6 * bump(h, 10, 5) + 0.2 * bump(h, 22, 3),
};

function addPatterns(model) {
  const random = randomFrom(41);
  for (const [name, shape] of Object.entries(patterns)) {
    const values = Array.from({ length: 288 }, (_, i) => shape(i / 12) * (0.97 + 0.06 * random()));
    model.addPattern(name);
    model.setPattern(model.getPatternIndex(name), values);
  }
}

function addPipe(model, from, to, length, diameter) {
  const link = model.addLink(`${from}>${to}`, LinkType.Pipe, from, to);
  model.setPipeData(link, length, diameter, 120, 0);
}

function addZone(model, zone) {
  const random = randomFrom(zone.name.length * 7919);
  const kinds = ['homes', 'homes', 'homes', 'shops', 'works'];
  for (let i = 0; i < zone.columns * zone.rows; i++) {
    const column = i % zone.columns;
    const row = Math.floor(i / zone.columns);
    const slope = (column / (zone.columns - 1) + row / (zone.rows - 1)) / 2;
    const node = model.addNode(`${zone.name}-${i}`, NodeType.Junction);
    const demand = zone.demand * (0.5 + random());
    model.setJunctionData(node, zone.high - zone.fall * slope + 2 * random(), demand, kinds[i % kinds.length]);
    if (column > 0) addPipe(model, `${zone.name}-${i - 1}`, `${zone.name}-${i}`, 260 + 120 * random(), 250);
    if (row > 0) addPipe(model, `${zone.name}-${i - zone.columns}`, `${zone.name}-${i}`, 300 + 150 * random(), 250);
  }
}

function addTank(model, tank) {
  const node = model.addNode(tank.name, NodeType.Tank);
  model.setTankData(node, tank.elevation, 3.2, 0.4, 5, tank.diameter, 0, '');
  addPipe(model, tank.at, tank.name, 400, 400);
}

function addStation(model, station) {
  for (const side of ['in', 'out']) {
    const node = model.addNode(`${station.name}-${side}`, NodeType.Junction);
    model.setJunctionData(node, station.ground, 0, '');
  }
  addPipe(model, station.from, `${station.name}-in`, 60, 500);
  addPipe(model, `${station.name}-out`, station.to, 700, 450);
  model.addCurve(station.name);
  model.setCurve(model.getCurveIndex(station.name), [station.flow], [station.lift]);
  for (let k = 1; k <= pumpsPerStation; k++) {
    const link = model.addLink(`${station.name}/pump-${k}`, LinkType.Pump, `${station.name}-in`, `${station.name}-out`);
    model.setHeadCurveIndex(link, model.getCurveIndex(station.name));
    model.setLinkValue(link, LinkProperty.InitStatus, k === 1 ? 1 : 0);
    const tank = model.getNodeIndex(station.tank);
    const [start, stop] = rules[k - 1];
    model.addControl(ControlType.LowLevel, link, 1, tank, start);
    model.addControl(ControlType.HiLevel, link, 0, tank, stop);
  }
}

// build adds the whole town to an empty model.
export function build(model) {
  model.init('', '', FlowUnits.CMH, HeadLossType.HW);
  addPatterns(model);
  for (const source of sources) {
    const node = model.addNode(source.name, NodeType.Reservoir);
    model.setNodeValue(node, 0, source.head);
  }
  zones.forEach((zone) => addZone(model, zone));
  tanks.forEach((tank) => addTank(model, tank));
  stations.forEach((station) => addStation(model, station));
  model.setTimeParameter(TimeParameter.PatternStep, 5 * MINUTE);
  model.setTimeParameter(TimeParameter.HydStep, MINUTE);
  model.setTimeParameter(TimeParameter.ReportStep, MINUTE);
  model.setTimeParameter(TimeParameter.Duration, 3 * DAY);
}

// loggers are the junctions that have a pressure and flow logger of their own,
// with the name of the logger.
export function loggers() {
  return zones.flatMap((zone) => Array.from({ length: zone.columns * zone.rows }, (_, i) => ({
    name: `${zone.name}-${streets[i]}-street`, node: `${zone.name}-${i}`,
  })).filter((_, i) => i % 4 !== 2));
}
