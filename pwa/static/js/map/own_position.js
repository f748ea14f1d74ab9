// Where somebody's own phone or computer is, and how sure it is of that, on any of the maps.

/** @typedef {import("../lib/geolocation.js").Fix} Fix */

/**
 * @param {import("leaflet").Map} map
 * @param {typeof import("leaflet")} L
 */
export function ownPosition(map, L) {
  const layer = L.layerGroup().addTo(map);
  return {
    /** Draws the fix with a ring of its accuracy; null takes both away. @param {Fix | null} fix */
    show(fix) {
      layer.clearLayers();
      if (!fix) return;
      const { circle, circleMarker } = L;
      circle([fix.lat, fix.lon], { radius: fix.metres, className: "fixring", interactive: false }).addTo(layer);
      circleMarker([fix.lat, fix.lon], { radius: 8, className: "youdot", interactive: false }).addTo(layer);
    },
  };
}
