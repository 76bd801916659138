"""Chains of tasks (CALVIN: five in a row) count by their completed links."""

from dataclasses import replace

import pytest

from fakes.run import write_run
from vertebra.report.phrases import target
from vertebra.spec.record import EpisodeRecord, record_from_plain
from vertebra.spec.storage import to_plain
from vertebra.spec.task import Outcome
from vertebra.verdict.compare import cells_of
from vertebra.verdict.cost import price
from vertebra.verdict.run import Run, read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(write_run(tmp_path_factory.mktemp("run"), pictures=False, scenes=(6, 2, 2)))


def chained(record: EpisodeRecord, done: int) -> EpisodeRecord:
    outcome = Outcome.SUCCESS if done == 5 else Outcome.TIMEOUT
    return replace(record, links=5, progress=done / 5, outcome=outcome)


def with_chains(run: Run, done: int) -> Run:
    jobs = tuple(replace(j, records=tuple(chained(r, done) for r in j.records)) for j in run.jobs)
    return replace(run, jobs=jobs)


@pytest.mark.parametrize("done", range(6))
def test_a_rate_over_links_is_the_mean_chain_length(run: Run, done: int) -> None:
    plain, chains = cells_of(run, "pi0"), cells_of(with_chains(run, done), "pi0")
    assert [cell.trials for cell in chains] == [5 * cell.trials for cell in plain]
    for cell in chains:
        assert 5 * cell.successes / cell.trials == pytest.approx(done)


def test_an_error_completes_nothing_and_only_success_completes_all(run: Run) -> None:
    record = chained(run.jobs[0].records[0], 5)
    assert record.completed == 5
    assert replace(record, outcome=Outcome.TIMEOUT).completed == 4
    assert replace(record, outcome=Outcome.ERROR).completed == 0
    assert replace(record, links=1, outcome=Outcome.TIMEOUT).completed == 0


def test_the_price_says_what_it_counts(run: Run) -> None:
    assert target(price(run, "pi0")) == "60\u202f% success"
    chains = target(price(with_chains(run, 2), "pi0"))
    assert chains == "60\u202f% of all links of the chains"


def test_records_from_before_chains_are_read_and_hash_as_before(run: Run) -> None:
    record = run.jobs[0].records[0]
    plain = to_plain(record)
    del plain["links"]
    old = record_from_plain(plain)
    assert old == record
    assert old.content_hash() == record.content_hash() != replace(record, links=5).content_hash()
