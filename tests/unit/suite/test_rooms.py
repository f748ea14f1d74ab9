"""A product file outside a room is refused."""

import rooms


def test_a_file_in_no_room_is_named() -> None:
    assert rooms.astray(["city/db/engine.py", "city/geo.py", "pwa/app.py", "sync/push.py"]) == []
    assert rooms.astray(["city/odd.py", "pwa/odd.py", "pwa/static/js/odd.js"]) == [
        "city/odd.py: lies in no room",
        "pwa/odd.py: lies in no room",
        "pwa/static/js/odd.js: lies in no room",
    ]


def test_a_room_that_grew_too_large_is_named() -> None:
    assert rooms.astray([f"city/db/f{n}.py" for n in range(21)]) == ["city/db: 21 files, 20 at most"]


def test_scripts_that_import_each_other_are_named() -> None:
    texts = {
        "js/a.js": 'import { b } from "./lib/b.js";',
        "js/lib/b.js": 'const a = () => import("../a.js");',
    }
    assert rooms.circle({"js/a.js": texts["js/a.js"], "js/lib/b.js": ""}) == []
    [told] = rooms.circle(texts)
    assert told.endswith(": a circle")
    assert "js/lib/b.js" in told
