"""Fifty closings with photos, and a battery that falls out again and again: fifty arrive, each once."""

import random

import pytest
from closings import (
    CREW,
    arrived,
    assert_once,
    begin_closing,
    finish_closing,
    give_jobs,
    kept,
    pictures,
    wait_for,
)
from live import Site, log_in
from phone import Van

JOBS, KILLS_SAVING, KILLS_SENDING, SEED = 50, 4, 4, 311


@pytest.mark.full
def test_fifty_closings_survive_kills_while_saving_and_while_sending(van: Van, site: Site) -> None:
    moments = random.Random(SEED)
    refs = give_jobs(site, JOBS)
    shots = pictures(refs)
    log_in(van.page, site, CREW, "/crew")
    van.page.wait_for_selector(f'a.job[href="#job/{refs[-1]}"]')
    van.wait_until_kept()
    van.context.close()  # as a phone put away: what a browser keeps of its cookies is on the disk

    told: list[str] = []
    for kill in range(KILLS_SAVING + 1):
        page = van.start(signal=False)
        page.wait_for_selector("a.job")
        here = kept(page).closed()
        assert set(told) <= set(here), "what was shown as saved is on the disk"
        assert set(here.values()) <= {1}
        left = [ref for ref in refs if ref not in here]
        begin_closing(page, left, shots, told)
        if kill < KILLS_SAVING:
            aim = len(told) + moments.randint(2, JOBS // (KILLS_SAVING + 1))
            wait_for(lambda aim=aim: len(told) >= aim, page)
            page.wait_for_timeout(moments.uniform(0, 150))
            van.kill()
    finish_closing(page)
    here_at_last = kept(page)
    assert here_at_last.closed() == dict.fromkeys(refs, 1)
    ops = [op for op in here_at_last.ops() if op["case"] in set(refs)]
    for photo in (photo for op in ops for photo in op["photos"]):
        assert here_at_last.hashes[photo["id"]] == photo["sha256"]
    assert arrived(site, refs) == 0
    van.kill()

    seen = set()
    for _ in range(KILLS_SENDING):
        page = van.start(signal=True)
        page.wait_for_selector("a.job")
        before = arrived(site, refs)
        wait_for(lambda before=before: arrived(site, refs) > before or arrived(site, refs) == JOBS, page, 180)
        page.wait_for_timeout(moments.uniform(0, 300))
        van.kill()
        seen.add(arrived(site, refs))
    assert seen & set(range(1, JOBS)), "none of the kills came while something was under way"
    page = van.start(signal=True)
    wait_for(lambda: arrived(site, refs) == JOBS and not kept(page).waiting, page, 180)
    assert_once(site, ops)
