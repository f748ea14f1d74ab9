"""A phone that never finds signal again: its work goes to the city as a file, and counts once."""

import json
import re
from datetime import UTC, datetime

import pytest
from closings import CREW, LATER, assert_once, close_all, give_jobs, kept, send_now, wait_for
from live import Site, log_in
from phone import Van

from city.photos import storage
from sync import file_import

pytestmark = pytest.mark.one_database
JOBS = 12  # two of their photos are sent in two pieces


def test_work_saved_to_a_file_without_signal_counts_once_and_so_it_stays(van: Van, site: Site) -> None:
    refs = give_jobs(site, JOBS)
    van.context.add_init_script(LATER)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector(f'a.job[href="#job/{refs[-1]}"]')
    van.wait_until_kept()
    van.context.set_offline(True)
    ops = close_all(van.page, refs)
    van.page.evaluate("location.hash = '#outbox'")
    with van.page.expect_download() as saved:
        van.page.locator("button[data-save]").tap()
    file = saved.value.path().read_bytes()
    phone = json.loads(file)["device"][:8]
    assert re.fullmatch(rf"cityline-outbox-{phone}-\d{{4}}-\d\d-\d\d\.json", saved.value.suggested_filename)

    for counted in ({"photos": JOBS}, {"photos_known": JOBS, "known": JOBS}):
        took = file_import.import_file(
            site.engine, storage.open_store(site.settings), site.settings, file, datetime.now(UTC)
        )
        assert dict(took) == {"applied": JOBS} | counted
        assert_once(site, ops)

    van.context.set_offline(False)  # and then it finds signal after all
    send_now(van.page)
    wait_for(lambda: not kept(van.page).waiting, van.page)
    assert {entry["result"]["result"] for entry in kept(van.page).sent} == {"applied"}
    assert_once(site, ops)
