"""Meta-World without Meta-World: what is asked, and that it is known."""

from vertebra.envs.metaworld.simulator import METAWORLD
from vertebra.envs.metaworld.tasks import FIVE, TEN, WORLDS
from vertebra.envs.outside import outside_from_words
from vertebra.envs.simulators import SIMULATORS


def test_five_tasks_by_one_word():
    assert METAWORLD in SIMULATORS
    assert outside_from_words("metaworld").world == "five"
    assert (len(FIVE), len(TEN)) == (5, 10)
    assert METAWORLD.scenes == METAWORLD.lanes == 5


def test_every_task_has_a_sentence_and_a_held_out_one_of_its_own():
    for tasks in WORLDS.values():
        sentences = [sentence for pair in tasks.values() for sentence in pair]
        assert len(set(sentences)) == 2 * len(tasks)
