// Where the phone is on a map: a dot, and around it how sure the phone is of that.

/** @typedef {import("../lib/geolocation.js").Fix} Fix */

/**
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 * @returns {(fix: Fix | null) => void} shows it there, or nowhere
 */
export function ownPosition(map, L) {
  const layer = L.layerGroup().addTo(map);
  return (fix) => {
    layer.clearLayers();
    if (!fix) return;
    L.circle([fix.lat, fix.lon], { radius: fix.metres, className: "fixring", interactive: false }).addTo(layer);
    L.circleMarker([fix.lat, fix.lon], { radius: 8, className: "youdot", interactive: false }).addTo(layer);
  };
}
