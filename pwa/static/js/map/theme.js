/**
 * How the base map is drawn: paint and label rules for protomaps-leaflet in the page's own colours. Touches no DOM.
 */

/**
 * Colours and face as the page has them now. The rules read this object at every painting, so that a change of
 * theme needs nothing but new values and a repaint.
 * @typedef {{land: string, block: string, road: string, edge: string, water: string, park: string, word: string, face: string}} Palette
 */

/** Zoom → width of a street in pixels; between the steps it grows evenly. */
const WIDTHS = /** @type {const} */ ([[11, 0.6], [12, 1], [13, 2], [14, 4], [15, 7], [16, 11], [17, 18], [19, 40]]);
const SHARE = /** @type {Record<string, number>} */ ({ avenue: 1.5, bridge: 1.3, lane: 0.8 });
/** From here on streets have an edge; further out they are a line. */
const EDGE_FROM = 13;

/**
 * The width in pixels of a kind of street at a zoom.
 * @param {string} kind
 * @param {number} zoom
 */
export function roadWidth(kind, zoom) {
  const share = SHARE[kind] ?? 1;
  const above = WIDTHS.findIndex(([z]) => z >= zoom);
  if (above <= 0) return share * (above === 0 ? WIDTHS[0][1] : 40);
  const [lowZoom, low] = WIDTHS[above - 1] ?? WIDTHS[0];
  const [highZoom, high] = WIDTHS[above] ?? WIDTHS[0];
  return share * (low + ((high - low) * (zoom - lowZoom)) / (highZoom - lowZoom));
}

/**
 * Rules for one map.
 * @param {any} protomaps the library's global object
 * @param {Palette} palette read at every painting
 * @returns {{paintRules: object[], labelRules: object[]}}
 */
export function rules(protomaps, palette) {
  return { paintRules: paintRules(protomaps, palette), labelRules: labelRules(protomaps, palette) };
}

/**
 * @param {any} protomaps
 * @param {Palette} palette
 */
function paintRules({ PolygonSymbolizer, LineSymbolizer }, palette) {
  /** @param {string} layer @param {"land" | "water" | "park"} role */
  const ground = (layer, role) => ({
    dataLayer: layer,
    symbolizer: new PolygonSymbolizer({ fill: () => palette[role] }),
  });
  /** @param {string[]} kinds @param {"road" | "edge"} role @param {number} wider */
  const road = (kinds, role, wider) => ({
    dataLayer: "road",
    minzoom: role === "edge" ? EDGE_FROM : 0,
    /** @param {number} _zoom @param {{props: {kind: string}}} feature */
    filter: (_zoom, feature) => kinds.includes(feature.props.kind),
    symbolizer: new LineSymbolizer({
      color: () => palette[role],
      /** @param {number} zoom */
      width: (zoom) => roadWidth(kinds[0] ?? "", zoom) + wider,
      lineCap: "round",
      lineJoin: "round",
    }),
  });
  const small = ["street"], lanes = ["lane"], large = ["avenue"], bridges = ["bridge"];
  return [
    ground("earth", "land"),
    ground("park", "park"),
    ground("water", "water"),
    {
      dataLayer: "rail",
      minzoom: 12,
      symbolizer: new LineSymbolizer({
        color: () => palette.word, opacity: 0.45, width: 0, dash: [7, 5], dashColor: () => palette.word, dashWidth: 2.5,
      }),
    },
    // Every edge lies below every surface: so crossings are open.
    road(lanes, "edge", 2), road(small, "edge", 2), road(bridges, "edge", 3), road(large, "edge", 2.5),
    road(lanes, "road", 0), road(small, "road", 0), road(bridges, "road", 0), road(large, "road", 0),
  ];
}

/**
 * @param {any} protomaps
 * @param {Palette} palette
 */
function labelRules({ CenteredTextSymbolizer, LineLabelSymbolizer }, palette) {
  /** @param {string} font @param {"land" | "park" | "water"} ground @param {number} [spacing] */
  const centred = (font, ground, spacing = 0) => new CenteredTextSymbolizer({
    labelProps: ["name"],
    font: () => `${font} ${palette.face}`,
    fill: () => palette.word,
    stroke: () => palette[ground],
    width: 3,
    letterSpacing: spacing,
    lineHeight: 1.25,
    maxLineChars: 14,
  });
  /** @param {string} layer @param {string} kind @param {object} symbolizer @param {[number, number]} zooms */
  const label = (layer, kind, symbolizer, [minzoom, maxzoom]) => ({
    dataLayer: layer,
    minzoom,
    maxzoom,
    /** @param {number} _zoom @param {{props: {kind: string}}} feature */
    filter: (_zoom, feature) => feature.props.kind === kind,
    symbolizer,
  });
  /** @param {string[]} kinds @param {number} minzoom @param {number} repeat */
  const along = (kinds, minzoom, repeat) => ({
    dataLayer: "road",
    minzoom,
    /** @param {number} _zoom @param {{props: {kind: string}}} feature */
    filter: (_zoom, feature) => kinds.includes(feature.props.kind),
    symbolizer: new LineLabelSymbolizer({
      labelProps: ["name"],
      /** @param {number} zoom */
      font: (zoom) => `500 ${zoom >= 17 ? 13 : 11}px ${palette.face}`,
      fill: () => palette.word,
      stroke: () => palette.road,
      width: 3,
      position: 2, // on the middle of the street
      repeatDistance: repeat,
    }),
  });
  // The first rule wins where two names want the same place.
  return [
    label("area", "area", centred("650 13px", "land", 0.5), [13, 16]),
    label("place", "park", centred("500 11px", "park"), [14, 19]),
    label("place", "water", centred("italic 500 11px", "water"), [14, 19]),
    along(["avenue", "bridge"], 14, 500),
    along(["street", "lane"], 15, 400),
  ];
}
