"""What one session may have, and how it is counted."""

import pytest

from anvilsrv.allowance import BOUNDS, Allowance, Budget, Share, Shares, lines
from anvilsrv.errors import Conflict


def test_every_bound_is_told_with_its_figure() -> None:
    told = lines()
    assert told.count("\n") == len(BOUNDS)
    assert (
        "limit\tmessages\t1,000 prompts and messages" in told
        and "limit\topen\t48 MiB of what its open files hold" in told
    )


def test_more_than_the_bound_is_refused_with_a_sentence_and_nothing_is_counted_of_it() -> None:
    one = Allowance()
    one.take("streams", 63)
    with pytest.raises(Conflict, match=r"^busy: 64 open files of this session wait for what comes$"):
        one.take("streams", 2)
    one.take("streams")
    assert one.full("streams") and not one.may("streams")
    one.give("streams")
    assert one.may("streams")


def test_the_user_has_no_bounds() -> None:
    user = Allowance(bounded=False)
    user.take("open", 1 << 40)
    assert not user.full("open") and user.has("open") == 0


def test_a_share_is_given_back_once_by_the_last_of_its_holders() -> None:
    one = Allowance()
    share = Share(one, "open", 100)
    share.parts(2)
    share.grow(50)
    share.shrink_by(20)
    share.let_go()
    assert one.has("open") == 130
    share.let_go()
    share.let_go()
    share.grow(10)  # an answer that comes after the close
    assert one.has("open") == 0


def test_a_share_that_is_refused_holds_what_it_held() -> None:
    one = Allowance()
    share = Share(one, "streams", 60)
    with pytest.raises(Conflict):
        share.grow(5)
    share.shrink()
    assert one.has("streams") == 0


def test_who_was_quiet_may_have_much_at_once_and_who_never_is_has_his_rate() -> None:
    budget = Budget(burst=1.0, rate=0.25)
    assert budget.left(100.0) == 1.0
    budget.spend(2.0)
    assert budget.left(100.0) == -1.0 and budget.due(100.0, 0.5) == pytest.approx(6.0)
    assert budget.left(106.0) == pytest.approx(0.5)
    assert budget.left(1000.0) == 1.0


def test_a_family_of_sessions_has_one_share_of_a_threads_time() -> None:
    shares = Shares(lambda session: session[0], burst=1.0, rate=0.1)
    shares.spend("a1", 3600.0)
    assert shares.due("a2") > 3600 and shares.due("b1") == 0.0
    assert shares.due("a1", owing=3600.0) == 0.0 < shares.due("a1", owing=1800.0)
    with shares.charged("b1"):
        sum(range(100_000))
    assert shares.due("b2") == 0.0, "who was quiet may have some at once"
