/**
 * Cases on a map: near neighbours drawn as one ring with their number, by the city where they are many.
 */

import { casePin } from "./map.js";

/** @typedef {import("./map.js").Standing} Standing */
/**
 * @typedef {{number: string, point: [number, number], standing: Standing, title: string, label?: string}} Pin
 *   `label`: its whole name, where number and title would not do
 */
/** @typedef {Partial<Record<Standing, number>>} Shares how many cases stand how */
/** @typedef {{point: [number, number], shares: Shares}} Cluster many cases that are known by number only */
/** @typedef {{key: string, pins: Pin[], shares: Shares, point: [number, number]}} Group */
/**
 * @typedef {object} PinOptions
 * @property {(number: string) => string} href the address of a case
 * @property {(number: string) => void} open
 * @property {Record<Standing, string>} words
 * @property {string} several "12 cases, worst: late" with NUMBER and WORST in their places
 * @property {() => void} [drawn] called when other marks stand there, or elsewhere
 */

const REACH = 56; // px: a group is this wide
const ALL_APART = 18; // from this zoom on nothing is drawn together, so that every case can be reached
const CLOSER = 2; // zooms that a cluster of the city's comes nearer
const A_FRAME = 10; // ms of drawing, then the page has a turn
const AROUND = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => /** @type {[number, number]} */ ([dx, dy])));
const WORST_FIRST = /** @type {Standing[]} */ (["late", "risk", "ok", "wait", "done"]);

const PIN_REACH = 12; // px: from a pin's middle to its edge
const RING_REACH = 28; // px: the same of a ring
const RADIUS = 18; // px: of a ring's middle
const ROUND = 100; // how long a ring is, in its own measure
const MANY_LATE = 0.1; // from this share on a ring wears the diamond, so that it does not rest on colour alone
const LATE_MARK = '<path class="ring__mark" data-promise="late" d="M16-23l8 8-8 8-8-8Z"/>';

/**
 * Pins that would overlap, drawn together. A group stands where its first pin stands, so that two groups are
 * never nearer to each other than the reach, and a group keeps its place while others come and go.
 * @param {Pin[]} pins
 * @param {(point: [number, number]) => {x: number, y: number}} project degrees to pixels at the zoom that is shown
 * @param {number} reach in pixels; 0 draws every pin apart
 * @returns {Group[]}
 */
export function grouped(pins, project, reach) {
  if (!reach) return pins.map((pin) => asGroup([pin]));
  /** @type {Map<string, {x: number, y: number, pins: Pin[]}[]>} by square of the screen, so that few are compared */
  const squares = new Map();
  /** @type {Pin[][]} */
  const groups = [];
  for (const pin of pins) {
    const { x, y } = project(pin.point);
    const column = Math.floor(x / reach);
    const row = Math.floor(y / reach);
    const near = AROUND.flatMap(([dx, dy]) => squares.get(`${column + dx} ${row + dy}`) ?? []);
    const host = near.find((each) => Math.hypot(each.x - x, each.y - y) < reach);
    if (host) {
      host.pins.push(pin);
      continue;
    }
    const started = { x, y, pins: [pin] };
    const key = `${column} ${row}`;
    squares.set(key, [...(squares.get(key) ?? []), started]);
    groups.push(started.pins);
  }
  return groups.map(asGroup);
}

/**
 * @param {Pin[]} pins at least one
 * @returns {Group}
 */
function asGroup(pins) {
  const [first] = /** @type {[Pin]} */ (/** @type {unknown} */ (pins));
  /** @type {Shares} */
  const shares = {};
  for (const { standing } of pins) shares[standing] = (shares[standing] ?? 0) + 1;
  return { key: `${first.number} ${told(shares)}`, pins, shares, point: first.point };
}

/** @param {Shares} shares */
function told(shares) {
  return WORST_FIRST.map((standing) => shares[standing] ?? 0).join(" ");
}

/** @param {Shares} shares */
function total(shares) {
  return Object.values(shares).reduce((sum, n) => sum + n, 0);
}

/**
 * A ring of shares, the worst at the top and on around the clock, as SVG.
 * @param {Shares} shares
 */
export function ring(shares) {
  const n = total(shares);
  let begun = 0;
  const parts = WORST_FIRST.filter((standing) => shares[standing]).map((standing) => {
    const long = ((shares[standing] ?? 0) / n) * ROUND;
    const drawn = `<circle class="ring__share" data-promise="${standing}" r="${RADIUS}" pathLength="${ROUND}" stroke-dasharray="${long} ${ROUND}" stroke-dashoffset="${-begun}" transform="rotate(-90)"/>`;
    begun += long;
    return drawn;
  });
  const mark = (shares.late ?? 0) / n > MANY_LATE ? LATE_MARK : "";
  return `<svg viewBox="-30 -30 60 60" aria-hidden="true"><circle class="ring__face" r="21"/>${parts.join("")}${mark}</svg><b>${n}</b>`;
}

/**
 * Keeps the pins of a map: draws those in sight, anew whenever the map has moved.
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 * @param {PinOptions} options
 */
export function pinLayer(map, L, options) {
  /** @type {Pin[]} */
  let pins = [];
  /** @type {Cluster[]} */
  let clusters = [];
  /** @type {Map<string, import("leaflet").Marker>} */
  const drawn = new Map();
  /** The case that is open: drawn alone, so that its halo can be seen. @type {Pin | undefined} */
  let current;
  /** @type {Set<string>} */
  let selected = new Set();
  let frame = 0;
  /** What is drawn, and how far around its middle it reaches. @type {{point: [number, number], reach: number}[]} */
  let marks = [];

  function draw() {
    const sight = map.getBounds().pad(0.2);
    const zoom = map.getZoom();
    const others = pins.filter((pin) => pin.number !== current?.number && sight.contains(pin.point));
    const project = (/** @type {[number, number]} */ point) => map.project(point, zoom);
    const groups = [...grouped(others, project, zoom < ALL_APART ? REACH : 0), ...grouped(current ? [current] : [], project, 0)];
    /** @type {Map<string, () => import("leaflet").Marker>} */
    const wanted = new Map(groups.map((each) => [`${zoom} ${each.key}`, () => marker(each)]));
    for (const each of clusters) {
      if (!sight.contains(each.point)) continue;
      wanted.set(`${each.point} ${told(each.shares)}`, () => cluster(each.shares, each.point, () => closer(each.point)));
    }
    marks = [
      ...groups.map((each) => ({ point: each.point, reach: each.pins.length > 1 ? RING_REACH : PIN_REACH })),
      ...clusters.map((each) => ({ point: each.point, reach: RING_REACH })),
    ];
    cancelAnimationFrame(frame);
    exchange(wanted);
    options.drawn?.();
  }

  /**
   * Brings what is drawn to what is wanted, some of it a frame, so that a hand on the map never waits for it. What
   * is there goes once the new stands.
   * @param {Map<string, () => import("leaflet").Marker>} wanted
   */
  function exchange(wanted) {
    const until = performance.now() + A_FRAME;
    for (const [key, make] of wanted) {
      if (drawn.has(key)) continue;
      drawn.set(key, make().addTo(map));
      if (performance.now() > until) {
        frame = requestAnimationFrame(() => exchange(wanted));
        return;
      }
    }
    for (const [key, marker] of drawn) {
      if (wanted.has(key)) continue;
      handOver(marker, wanted);
      marker.remove();
      drawn.delete(key);
      if (performance.now() > until + A_FRAME) {
        frame = requestAnimationFrame(() => exchange(wanted));
        return;
      }
    }
    for (const marker of drawn.values()) halo(marker);
  }

  /**
   * Gives the keyboard from a mark that goes to the nearest one that stays: whoever pressed Enter on a cluster goes
   * on from what it fell into, and not from the top of the page.
   * @param {import("leaflet").Marker} going
   * @param {Map<string, unknown>} wanted
   */
  function handOver(going, wanted) {
    if (going.getElement() !== document.activeElement) return;
    const from = map.latLngToLayerPoint(going.getLatLng());
    let least = Infinity;
    /** @type {HTMLElement | undefined} */
    let nearest;
    for (const [key, each] of drawn) {
      const away = wanted.has(key) ? map.latLngToLayerPoint(each.getLatLng()).distanceTo(from) : Infinity;
      if (away < least) [least, nearest] = [away, each.getElement()];
    }
    nearest?.focus({ preventScroll: true });
  }

  /** @param {Group} each */
  function marker(each) {
    const [only] = each.pins;
    if (!only || each.pins.length > 1) return cluster(each.shares, each.point, () => apart(each.pins));
    const label = only.label ?? `${only.number} ${only.title}, ${options.words[only.standing]}`;
    const pin = casePin(L, only.point, { promise: only.standing, label, href: options.href(only.number) });
    pin.on("add", () => {
      const link = pin.getElement();
      if (!link) return;
      link.dataset.number = only.number;
      link.title = only.label ?? `${only.number} ${only.title}`;
      link.addEventListener("click", (event) => {
        if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        options.open(only.number);
      });
    });
    return pin;
  }

  /**
   * @param {Shares} shares
   * @param {[number, number]} point
   * @param {() => void} pressed
   */
  function cluster(shares, point, pressed) {
    const worst = WORST_FIRST.find((standing) => shares[standing]) ?? "ok";
    const label = options.several.replace("NUMBER", String(total(shares))).replace("WORST", options.words[worst]);
    const icon = L.divIcon({ className: "", iconSize: undefined });
    icon.createIcon = () => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "clusterpin leaflet-marker-icon";
      button.setAttribute("aria-label", label);
      button.innerHTML = ring(shares);
      return button;
    };
    const marker = L.marker(point, { icon, keyboard: false, riseOnHover: true });
    marker.on("add", () => marker.getElement()?.addEventListener("click", pressed));
    return marker;
  }

  /**
   * Zooms so far in that these pins come apart.
   * @param {Pin[]} together
   */
  function apart(together) {
    const bounds = L.latLngBounds(together.map((pin) => pin.point));
    const fits = map.getBoundsZoom(bounds.pad(0.3));
    map.setView(bounds.getCenter(), Math.min(map.getMaxZoom(), Math.max(map.getZoom() + 1, fits)));
  }

  /**
   * Zooms in on what is more than this map knows.
   * @param {[number, number]} point
   */
  function closer(point) {
    map.setView(point, Math.min(map.getMaxZoom(), map.getZoom() + CLOSER));
  }

  /** @param {import("leaflet").Marker} marker */
  function halo(marker) {
    const element = marker.getElement();
    if (!element?.dataset.number) return;
    const isCurrent = element.dataset.number === current?.number;
    if (isCurrent) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
    element.toggleAttribute("data-selected", selected.has(element.dataset.number));
    marker.setZIndexOffset(isCurrent ? 1000 : 0);
  }

  map.on("moveend", draw);
  return {
    /**
     * @param {Pin[]} all
     * @param {Cluster[]} [many] what the city has counted and told together
     */
    set(all, many = []) {
      pins = all;
      clusters = many;
      draw();
    },
    /** Where marks stand, in pixels of the map's layers, and how far each reaches around its middle. */
    marks: () => marks.map(({ point, reach }) => ({ ...map.latLngToLayerPoint(point), reach })),
    /** Marks those that are selected. @param {Iterable<string>} numbers */
    select(numbers) {
      selected = new Set(numbers);
      for (const marker of drawn.values()) halo(marker);
    },
    /**
     * Marks the case that is open and brings it out from under the drawer.
     * @param {Pin | undefined} pin
     * @param {number} [covered] px at the right that the drawer takes; without it the map stays where it is
     */
    mark(pin, covered) {
      current = pin;
      if (pin && covered !== undefined) map.panInside(pin.point, { paddingTopLeft: [48, 48], paddingBottomRight: [covered + 48, 72] });
      draw();
    },
  };
}
