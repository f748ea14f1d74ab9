// Where somebody can be hurt, marked over whatever else lies on a map: no ring hides it.

/**
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 * @returns {(points: [number, number][]) => void} marks these, and no others
 */
export function dangerMarks(map, L) {
  const layer = L.layerGroup().addTo(map);
  return (points) => {
    layer.clearLayers();
    for (const point of points) {
      const html = '<svg viewBox="-1 -1 18 18" aria-hidden="true"><use href="#m-danger"/></svg>';
      const icon = L.divIcon({ className: "dangermark", html, iconSize: [20, 20], iconAnchor: [-2, 24] });
      L.marker(point, { icon, keyboard: false, interactive: false, zIndexOffset: 500 }).addTo(layer);
    }
  };
}
