"""Everything that Daraja, payers, forgers, crashes and the clock can do, in any order.

Hypothesis plays the world against the real application and looks for an order of events that
breaks a promise about money. `make soak` plays for longer.

What is held against the world's own ledger, after every step:

- A transaction is SUCCESS if and only if its money moved and a believable word of that was decided
  on: a callback under its token, from a listed address, with its ids, amount and an unused receipt,
  or a question answered with 0 while no such callback had told another amount. A word that was
  stored before a crash counts once it was judged.
- A success has its receipt if any callback told it, however faultily.
- Until then money that moved is PENDING; or FAILED, where Daraja told a failure of that very
  prompt. Nobody could know better, so that is allowed, but not for ever: what stays PENDING for 72
  hours (an hour without an id) needs review, a failure with a question still planned is mended by
  that question, and any failure by a late callback.
- Every commit raises `seq` by one if what it shows has changed, and not otherwise.
- What claimed a payment and was not believed needs review; what was merely usual does not. Where
  Daraja can tell, it is asked first, and a failure of which it does not say paid needs review.
- Each payment of which a believable witness has told is one receipt of its amount. It is claimed
  if and only if exactly one transaction is SUCCESS with it, and never given to an order that it
  does not name. Sent with an order's pay code, it is that order's as soon as it is proven.
- No order has the money of two payments without a review.
"""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event

from app import create_app
from mpesa import deadlines, inbox, outbox, pull, receipts, reconciler
from mpesa.daraja import DarajaError
from mpesa.models import db
from mpesa.runtime import database
from mpesa.web.http.limits import PushLimits, Tally
from mpesa.web.http.services import inbox_needs, pull_needs, receipt_needs, services
from tests.factories import API_KEY, make_settings, order_fields
from tests.fakes import Clock
from tests.money_books import (
    Books,
    accounts,
    broken_orders,
    broken_promises,
    broken_receipts,
)
from tests.money_world import (
    PROMPT_LIFE,
    PROOF_FROM,
    Fate,
    Payer,
    Payment,
    Pulls,
    Pushed,
    Queries,
    World,
)

T = TypeVar("T")

PHONES = ("0712345678", "0722000111", "0110345678")
KEYS = st.sampled_from((None, "press-1", "press-2"))
PUSHES = st.sampled_from((*[Pushed.ACCEPTED] * 5, *Pushed))
# Of every kind: an integer, a string, one that nobody knows.
CODES = st.sampled_from((1032, 1037, 1, 2001, 1001, 1019, 2029, 9999, "1032", "SFC_IC0003", 6666))
ZEROS = st.sampled_from((0, "0", 0.0))
TIMES = st.sampled_from((1, 5, 15, 26, 30, 61, 181, 601, 3601, 21_600, 90_000, 260_000))
WRONG = (
    *(b"", b"<html>", b'{"Body": {}}', b'{"Body": {"stkCallback": {"ResultCode": false}}}'),
    *({"amount": each} for each in (151, 149.5, True, None, "150 bob")),
    *({"receipt": each} for each in ("-", "UKO1ABCDE!", 5)),
    *("under way", "from elsewhere", "from elsewhere"),
    *["another's payment", "another's receipt", "another's end"] * 2,
)
# What a proxy, or another program at Daraja, may make of a right callback.
FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "text behind it": lambda body: body + b" []",
    "packed": lambda body: gzip.compress(body, mtime=0),
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "no merchant id": lambda body: body.replace(b'"MerchantRequestID": ', b'"MerchantId": '),
}
# Which of several, counted from the newest.
ANY = st.integers(0, 5)
MOSTLY = st.sampled_from((True, True, False))
HAPPENINGS: list[st.SearchStrategy[Any]] = []
STORIES, STEPS = 60, 40
LISTED, UNLISTED = "196.201.212.69", "203.0.113.7"
C2B = f"/c2b/{'c2b0' * 8}/confirmation"
# What a payer types as account, most of them the code that the page shows.
ACCOUNTS = ("code", "code", "code", "code with blanks", "reference", "slip", "swap", "nothing")
PAYERS = st.sampled_from((Payer.MASKED, Payer.MASKED, *Payer))
# Money by hand is waited for until then.
BY_HAND_FOR = timedelta(hours=24)
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
WAIT = timedelta(seconds=60)
# The time that a push has to be answered.
LONGEST_PUSH = timedelta(seconds=20)
# The last question about a failure comes 24 hours after it, and nobody asks before it is due.
ASKED_AGAIN = timedelta(hours=23)
# Past the end of all that is planned for a silent payment.
SILENCE = (15, 61, 200, 1000, 4000, *(hours * 3600 for hours in (8, 25, 50)))


class Killed(BaseException):
    """The process ended here."""


def may_happen(weight, **how):
    """Let a method of the machine happen, as often as its weight says, with drawn arguments."""

    def listed(happening):
        name = happening.__name__
        # Made anew each time: of the same strategy twice Hypothesis takes one.
        HAPPENINGS.extend(
            st.tuples(st.just(name), st.fixed_dictionaries(how)) for _ in range(weight)
        )
        return happening

    return listed


class MoneyMachine(RuleBasedStateMachine):
    """One merchant, a few orders and phones, and a world that keeps its own ledger."""

    def __init__(self):
        super().__init__()
        self.stage = _stage()
        self.stage.clear()
        self.now = self.stage.now
        self.books = Books(str(self.stage.file), self.now)
        self.world = World(self.now, self._deliver, self.books.order_is_open)
        self.orders: list[str] = []
        self.references = count(1001)
        self.odd_orders: set[str] = set()
        self.keys: dict[tuple[str, str], tuple[str, str, int]] = {}
        self.statements_left: int | None = None
        self.sound = True
        self.stage.world, self.stage.machine = self.world, self
        self._start()

    # -- what may happen -----------------------------------------------------------------------

    @initialize(
        ending=st.sampled_from(("callbacks", "questions", "silence")),
        pay_first=st.booleans(),
        ask_first=st.booleans(),
    )
    def begin(self, ending, pay_first, ask_first):
        self.ending, self.pay_first, self.ask_first = ending, pay_first, ask_first
        self._order(150, None)
        self._push(self.orders[0], PHONES[0], None)

    @rule(what=st.deferred(lambda: st.one_of(HAPPENINGS)))
    def happens(self, what):
        """One rule for all: of several, Hypothesis leaves out most, and most stories lack money."""
        name, how = what
        getattr(self, name)(**how)

    @may_happen(1)
    def nothing(self):
        """What Hypothesis puts in the place of what does not matter."""

    @may_happen(
        2, amount=st.sampled_from((150, 1, PROOF_FROM)), expires=st.sampled_from((None, 30, 1000))
    )
    def order(self, amount, expires):
        if len(self.orders) < 6:
            self._order(amount, expires)

    @may_happen(
        4, which=ANY, phone=st.sampled_from((None, None, None, *PHONES)), key=KEYS, becomes=PUSHES
    )
    def push(self, which, phone, key, becomes):
        """From a phone that others use too; or from a new one, when nothing stands in its way."""
        if phone is None:
            self.now.pass_(seconds=200)
            phone, key = f"07440000{len(self.world.prompts) % 100:02d}", None
        self.world.next_push = becomes
        self._lives_through(lambda: self._push(self._pick(self.orders, which), phone, key))

    @may_happen(4, which=ANY, pays=MOSTLY, told=st.integers(0, 2), zero=ZEROS, code=CODES)
    def answer_a_prompt(self, which, pays, told, zero, code):
        """The callback comes never, once or twice."""
        live = self._prompts(Fate.ON_THE_PHONE)
        if not live:
            return
        prompt = self._pick(live, which)
        if pays:
            self.world.pay(prompt)
        else:
            self.world.end(prompt, code)
        for _time in range(told):
            self._lives_through(
                lambda: (
                    self.world.tell_success(prompt, prompt.amount, zero)
                    if pays
                    else self.world.tell_failure(prompt, code)
                )
            )

    @may_happen(3, which=ANY, true=st.booleans(), decimal=st.booleans(), zero=ZEROS, code=CODES)
    def tell_something_more(self, which, true, decimal, zero, code):
        """Of money once more, or for the first time; of an end that may be none."""
        prompt = self._pick(self.world.prompts, which)
        if prompt.fate is Fate.PAID and true:
            amount = float(prompt.amount) if decimal else prompt.amount
            self._lives_through(lambda: self.world.tell_success(prompt, amount, zero))
        else:
            prompt.odd = True
            self._lives_through(lambda: self.world.tell_failure(prompt, code))

    @may_happen(2, which=ANY, wrong=st.sampled_from(WRONG), paid=ANY)
    def tell_something_odd(self, which, wrong, paid):
        prompt = self._pick(self.world.prompts, which)
        right = {"amount": prompt.amount, "receipt": prompt.receipt or "UKOFORGED1"}
        match wrong:
            case bytes():
                self._tell_oddly(prompt, wrong, believed=True)
            case dict():
                body = prompt.success(**(right | wrong))
                told = wrong.get("amount")
                if isinstance(told, int | float) and not isinstance(told, bool):
                    self.world.disputes[prompt.token].add(body)
                self._tell_oddly(prompt, body)
            case "under way":
                self._tell_oddly(prompt, prompt.failure(4999), believed=True)
            case "from elsewhere":
                self._tell_oddly(prompt, prompt.success(**right) + b"\n", source=UNLISTED)
            case str():
                self._replay(prompt, paid, wrong)

    @may_happen(
        5,
        which=ANY,
        account=st.sampled_from(ACCOUNTS),
        phone=st.sampled_from(PHONES),
        right=st.sampled_from((True, True, True, False)),
        told=st.sampled_from((0, 1, 1, 1, 2)),
        payer=PAYERS,
    )
    def pay_by_hand(self, which, account, phone, right, told, payer):
        """For an order in any state; the confirmation comes never, once or twice."""
        order = self.books.order(self._pick(self.orders, which))
        payment = self._pay_by_hand(order, account, phone, order["amount"] + (not right))
        for _time in range(told):
            self._confirm(payment, payment.confirmed(payer))

    @may_happen(
        4,
        which=ANY,
        payer=PAYERS,
        account=st.sampled_from((True, True, True, False)),
        source=st.sampled_from((LISTED, LISTED, LISTED, UNLISTED)),
        wrong=st.sampled_from((False, False, False, True)),
    )
    def confirm(self, which, payer, account, source, wrong):
        """Of any money that moved, also by a prompt, told before or not."""
        if not self.world.moved:
            return
        payment = self._pick(list(self.world.moved.values()), which)
        by_hand = not any(each.receipt == payment.receipt for each in self.world.prompts)
        if not account:
            self.world.may_be_given_blindly(payment)
        amount = payment.amount + 1 if wrong and by_hand else None
        payment.disputed = payment.disputed or amount is not None
        body = payment.confirmed(payer, account=account, amount=amount)
        self._confirm(payment, body, source, truly=amount is None, named=account)

    @may_happen(1, which=ANY)
    def forge_a_confirmation(self, which):
        """Of money that never moved; the forger knows the address, and is not listed."""
        code = self.books.order(self._pick(self.orders, which))["pay_code"]
        forged = Payment("UKOFORGED2", "254712345678", 150, code, self.now())
        self._lives_through(lambda: self._post(C2B, forged.confirmed(Payer.MASKED), UNLISTED))

    @may_happen(2, which=ANY)
    def choose_to_pay_by_hand(self, which):
        order_id = self._pick(self.orders, which)
        self._lives_through(lambda: self._ask("POST", "/pay-by-hand", json={"order_id": order_id}))

    @may_happen(2, answer=st.sampled_from((Pulls.HONEST, *Pulls)))
    def pull_what_was_paid(self, answer):
        self.world.pulls = answer
        self._lives_through(self._pull)

    @may_happen(2, which=ANY, amount=st.sampled_from((1, 151, 149.5)), pays=MOSTLY)
    def tell_another_amount(self, which, amount, pays):
        """Of a payment that was not told yet, or of a prompt that waits; then Daraja is asked."""
        live = self._prompts(Fate.ON_THE_PHONE)
        if not live:
            return
        prompt = self._pick(live, which)
        if pays:
            self.world.pay(prompt)
        body = prompt.success(amount + (amount == prompt.amount), receipt="UKOANOTHER")
        self.world.disputes[prompt.token].add(body)
        self._tell_oddly(prompt, body)
        self.answer_questions(Queries.HONEST)

    @may_happen(
        3,
        which=ANY,
        fault=st.sampled_from(sorted(FAULTS)),
        before=st.sampled_from((None, None, 1037, 2001)),
        mode=st.sampled_from((*[Queries.HONEST] * 3, *Queries)),
    )
    def tell_of_money_faultily(self, which, fault, before, mode):
        """Never believed as it is; but once Daraja said paid, nobody may lose the receipt in it.

        And if Daraja does not say so, nobody may lose the claim.
        """
        live = self._prompts(Fate.ON_THE_PHONE)
        if not live:
            return
        prompt = self._pick(live, which)
        self.world.pay(prompt)
        if before:
            prompt.odd = True
            self._lives_through(lambda: self.world.tell_failure(prompt, before))
        body = FAULTS[fault](prompt.success(prompt.amount))
        if self._knows_ids_of(prompt):
            self.world.rough[prompt.token].add(body)
        elif fault == "no merchant id":
            self.world.proofs[prompt.token].add(body)  # the token alone suffices then
        self._tell_oddly(prompt, body, believed=True)
        self.answer_questions(mode)

    @may_happen(3, seconds=TIMES, runs=st.booleans())
    def let_time_pass(self, seconds, runs):
        """What runs beside the requests has its turn, or nothing runs at all."""
        self.now.pass_(seconds=seconds)
        if runs:
            self._lives_through(self._background)

    @may_happen(2, hours=st.sampled_from((3, -3)), which=ANY, answered=st.booleans())
    def the_clock_steps(self, hours, which, answered):
        """Somebody sets it while a worker runs; a push may come before the next tick."""
        self.statements_left = None
        self._background()
        self.now.step(hours=hours)
        if answered:
            self._push(self._pick(self.orders, which), PHONES[0], None)
        self._background()

    @may_happen(2, mode=st.sampled_from((*[Queries.HONEST] * 3, *Queries)))
    def answer_questions(self, mode):
        """From now on like that; and the first question about a push is asked after 15 seconds."""
        self.world.queries = mode
        self.now.pass_(seconds=15)
        self._lives_through(self._background)

    @may_happen(2, statements=st.integers(0, 20))
    def be_killed_soon(self, statements):
        """The process ends before that statement of whatever comes next."""
        self.statements_left = statements

    @may_happen(
        1, which=ANY, does=st.sampled_from(("poll", "poll", "type a code", "cancel", "guess"))
    )
    def meddle(self, which, does):
        ids = list(self.books.transactions)
        match does:
            case "cancel":
                path = f"/api/orders/{self._pick(self.orders, which)}/cancel"
                self._lives_through(lambda: self._ask("POST", path, headers=API_KEY))
            case "guess":
                self._lives_through(lambda: self._guess("0f"[which % 2] * 64))
            case "poll" if ids:
                self._lives_through(lambda: self._poll(self._pick(ids, which)))
            case "type a code" if ids:
                self._lives_through(lambda: self._type_a_code(self._pick(ids, which), which))

    # -- what is always true ---------------------------------------------------------------------

    @invariant()
    def every_promise_is_kept(self):
        self.sound = False
        found = self._accounts()
        broken = [*self.books.broken, *self.world.broken, *broken_orders(found)]
        broken += broken_receipts(self.books, self.world)
        for each in found:
            broken += [f"{promise}: {each.row}" for promise in broken_promises(each)]
            broken += self._needless_reviews(each)
        assert not broken, "\n".join(broken)
        self.sound = True

    def teardown(self):
        try:
            if self.sound:
                self._end()
        finally:
            self.statements_left = None
            self.books.close()

    # -- the end of the story --------------------------------------------------------------------

    def _end(self):
        self._restart()
        if self.pay_first:
            self._every_open_order_can_be_paid()
        endings: dict[str, Callable[[], None]] = {
            "callbacks": self._every_payment_is_told,
            "questions": self._questions_find_the_money,
            "silence": self._silence_calls_a_person,
        }
        endings[self.ending]()
        self.every_promise_is_kept()
        self._every_payment_is_told()
        self._every_open_order_can_be_paid()
        self.every_promise_is_kept()

    def _every_payment_is_told(self):
        """Honest evidence of all money at last: whatever was believed before, it is a success."""
        for prompt in list(self.world.payments.values()):
            self.world.tell_success(prompt, prompt.amount)
        for payment in list(self.world.moved.values()):
            self._confirm(payment, payment.confirmed(Payer.MASKED))
        for each in self._paid():
            assert each.row["status"] == "SUCCESS", "money that was told and is no success"
            known = each.row["receipt"] or each.same_money
            assert known, "a receipt that was told and not kept"
        assert self.world.moved.keys() <= self.books.receipts.keys(), "money that was dropped"

    def _questions_find_the_money(self):
        """Daraja is honest from now on, and no callback ever comes."""
        self.world.queries = Queries.HONEST
        self._background()
        asked_again = {
            each.token
            for each in self._paid()
            if each.row["status"] == "FAILED" and not each.row["final"]
            if each.row["checkout_request_id"] and each.settled_for(self.now()) < ASKED_AGAIN
            if each.disputed is None
        }
        self._be_silent()
        for each in self._paid():
            found = each.row["status"] == "SUCCESS"
            assert found or each.token not in asked_again, "nobody asked about a failure"
            assert found or each.row["needs_review"] or each.row["status"] == "FAILED"

    def _silence_calls_a_person(self):
        """Nothing is heard any more: what was not told a failure is looked at by a person."""
        self.world.queries = Queries.SILENT
        self._be_silent()
        pending = [each.row for each in self._accounts() if each.row["status"] == "PENDING"]
        assert all(row["needs_review"] for row in pending), "silence that nobody looks at"
        claimed = [each.row for each in self._accounts() if each.told_roughly]
        unproven = [row for row in claimed if row["status"] != "SUCCESS"]
        assert all(row["needs_review"] for row in unproven), "a claim that nobody looks at"

    def _be_silent(self):
        for seconds in SILENCE:
            self.now.pass_(seconds=seconds)
            while self._background():
                self.now.pass_(seconds=12)

    def _every_open_order_can_be_paid(self):
        self.world.queries, self.world.next_push = Queries.HONEST, Pushed.ACCEPTED
        for number, order_id in enumerate(self.orders):
            if number % 2 and self._order_status(order_id) == "OPEN":
                order = self.books.order(order_id)
                payment = self._pay_by_hand(order, "code", PHONES[0], order["amount"])
                self._confirm(payment, payment.confirmed(Payer.MASKED))
            self._pay_as_told(order_id, f"07330000{number:02d}")

    def _pay_as_told(self, order_id, phone):
        """As a patient shopper does: waits as long as asked, tries again, pays."""
        for _try in range(6):
            if self._order_status(order_id) != "OPEN":
                return
            answer = self._push(order_id, phone, None)
            if answer.status_code == 202:
                (prompt,) = self.world.prompts[-1:]
                self.world.pay(prompt)
                self.world.tell_success(prompt, prompt.amount)
                assert self._order_status(order_id) == "PAID"
                return
            self.now.pass_(seconds=int(answer.headers.get("Retry-After", 181)))
            self._background()
        raise AssertionError(f"an order that cannot be paid: {answer.text}")

    # -- the application ---------------------------------------------------------------------------

    def _start(self):
        self.app = self.stage.application()
        self.known: dict[str, int] = {}

    def _restart(self):
        """What was stored and not judged is judged as soon as the process is there again."""
        self.statements_left = None
        self._start()
        with self.app.app_context():
            inbox.judge_waiting(db.session(), inbox_needs())
            receipts.judge_waiting(db.session(), receipt_needs())
        left = [row for each in self._accounts() for row in each.evidence if not row["decisions"]]
        assert not left, "a callback that nobody judged"
        assert not self.books.unjudged(), "a confirmation that nobody judged"

    def before_statement(self):
        """The process may end here; a listener of the engine."""
        if self.statements_left == 0:
            self.statements_left = None
            raise Killed
        if self.statements_left:
            self.statements_left -= 1

    def _lives_through(self, act):
        """Do it; where the process is killed meanwhile, another one takes over."""
        self.sound = False
        try:
            result = act()
        except Killed:
            self._restart()
            result = None
        self.sound = True
        return result

    def _background(self):
        """One turn of what runs beside the requests; returns how many questions were asked."""
        asked = 0
        with self.app.app_context():
            ours, session = services(), db.session()
            if (
                self.ask_first and not ours.watch.stepped()
            ):  # they run side by side, so either may be first
                asked = reconciler.run_until_idle(session, ours.access, ours.announce)
            ours.watch.look(session, ours.announce)
            deadlines.run_once(session, ours.now, WAIT, ours.announce)
            known = outbox.run_once(db.engine, ours.now(), ours.announce_here, self.known)
            self.known = known
            asked += reconciler.run_until_idle(session, ours.access, ours.announce)
        self._the_clock_was_right()
        return asked

    def _the_clock_was_right(self):
        for each in self._accounts():
            if each.by_hand:
                waits = each.row["status"] == "PENDING"
                assert not waits or each.age(self.now()) < BY_HAND_FOR, "waits by hand for ever"
                continue
            with_id = each.row["checkout_request_id"] is not None
            longest = timedelta(hours=72 if with_id else 1)
            silent = each.row["status"] == "PENDING" and each.age(self.now()) >= longest
            assert each.row["needs_review"] or not silent, "silence that nobody looks at"
            over = each.age(self.now()) >= PROMPT_LIFE + LONGEST_PUSH
            assert not (over and each.row["is_open"]), "a prompt that blocks its line for ever"

    def _pull(self):
        """Once in a while, and whatever was told of is taken in when this returns."""
        before = len(self.world.listed)
        with self.app.app_context():
            try:
                pulled = pull.run_once(db.session(), pull_needs(), timedelta(0))
            except DarajaError:
                return
        for payment in self.world.listed[before:] if pulled else ():
            payment.witnesses.add("pull")
            payment.told_truly = payment.named = True

    def _post(self, path, body, source):
        return self._ask("POST", path, data=body, believed=source == LISTED)

    def _ask(self, method, path, *, believed=True, **more):
        source = {"REMOTE_ADDR": LISTED if believed else UNLISTED}
        answer = self.app.test_client().open(path, method=method, environ_overrides=source, **more)
        assert 200 <= answer.status_code < 500, answer.text
        return answer

    # -- what the rules do -------------------------------------------------------------------------

    def _order(self, amount, expires):
        ends = self.now() + timedelta(seconds=expires) if expires else None
        fields = order_fields(
            amount=amount,
            reference=f"INV-{next(self.references)}",
            expires_at=ends.isoformat() if ends else None,
        )
        answer = self._lives_through(
            lambda: self._ask("POST", "/api/orders", json=fields, headers=API_KEY)
        )
        if answer is not None:
            self.orders.append(answer.get_json()["order_id"])

    def _push(self, order_id, phone, key):
        headers = {"Idempotency-Key": key} if key else {}
        fields, before = {"order_id": order_id, "phone": phone}, len(self.world.prompts)
        answer = self._ask("POST", "/stk-push", json=fields, headers=headers)
        if answer.status_code != 202:
            assert len(self.world.prompts) == before, "a prompt that nobody was told of"
        if key and answer.status_code < 300:
            self._same_as_first(order_id, phone, key, answer)
        return answer

    def _same_as_first(self, order_id, phone, key, answer):
        got = (phone, answer.get_json()["transaction_id"], answer.status_code)
        assert self.keys.setdefault((order_id, key), got) == got, "a key with two answers"

    def _pay_by_hand(self, order, kind, phone, amount):
        """Send money for an order, by an account that names it, or nearly does."""
        code, reference = order["pay_code"], order["reference"]
        at = next(i for i in range(8) if code[i] != code[i + 1])
        accounts = {
            "code": code,
            "code with blanks": f"{code[:3]} {code[3:6]} {code[6:]}",
            "reference": reference,
            "slip": code[:-1] + str((int(code[-1]) + 1) % 10),
            "swap": code[:at] + code[at + 1] + code[at] + code[at + 2 :],
            "nothing": "",
        }
        right = kind.startswith("code")
        begun = datetime.fromisoformat(order["created_at"]).replace(tzinfo=UTC)
        in_time = begun <= self.now() + timedelta(minutes=1)
        certain = right and in_time and amount == order["amount"]
        names = {reference} if right or kind == "reference" else set()
        payment = self.world.pay_by_hand(
            f"254{phone[1:]}", amount, accounts[kind], names, reference if certain else None
        )
        if kind == "nothing":
            self.world.may_be_given_blindly(payment)
        return payment

    def _confirm(self, payment, body, source=LISTED, *, truly=True, named=True):
        """Its confirmation is answered, or the process ends."""
        answer = self._lives_through(lambda: self._post(C2B, body, source))
        if answer is not None:
            assert answer.status_code == 200, answer.text
            if source == LISTED:
                payment.witnesses.add("confirmation")
                payment.told_truly = payment.told_truly or truly
                payment.named = payment.named or named

    def _poll(self, transaction_id):
        shown = self._ask("GET", f"/check-status?tx_id={transaction_id}").get_json()
        row = self.books.transactions[transaction_id]
        for name in ("status", "reason", "receipt", "seq"):
            assert shown[name] == row[name], f"a poll shows another {name}"

    def _guess(self, token):
        answer = self._ask("POST", f"/callback/{token}", data=b"{}", believed=False)
        assert answer.status_code == 404

    def _replay(self, prompt, which, what):
        """Another payment's callback, or its receipt under our own name.

        Only what was heard before: whoever holds a token and Safaricom's address, and is first
        with a receipt or an id, cannot be told from Safaricom.
        """
        heard = "checkout_request_id" if what == "another's end" else "receipt"
        found = [
            each.prompt
            for each in self._accounts()
            if each.prompt and each.row[heard] and each.prompt.reference != prompt.reference
            # A receipt of another prompt, given to this one, does not make its own one known.
            if what == "another's end" or each.row["receipt"] == each.prompt.receipt
        ]
        if not found:
            return
        other = self._pick(found, which)
        bodies = {
            "another's end": lambda: other.failure(1032),
            "another's payment": lambda: other.success(prompt.amount),
            "another's receipt": lambda: prompt.success(prompt.amount, receipt=other.receipt),
        }
        self._tell_oddly(prompt, bodies[what]() + b"\t")

    def _type_a_code(self, transaction_id, which):
        """Mostly of money that did move: it may be another order's, or this one's."""
        self._note_oddity(transaction_id)
        payments = list(self.world.moved.values())
        code = "UKO1ABCDEF"
        if payments and which:
            typed = self._pick(payments, which)
            typed.names.add(self.books.transactions[transaction_id]["reference"])
            code = typed.receipt
        self._ask("POST", "/sms-code", json={"tx_id": transaction_id, "code": code})

    def _knows_ids_of(self, prompt):
        found = (each.row for each in self._accounts() if each.prompt is prompt)
        return any(row["merchant_request_id"] for row in found)

    def _note_oddity(self, transaction_id):
        """Of its whole order: what is claimed of one may be another one's."""
        order_id = self.books.transactions[transaction_id]["order_id"]
        self.odd_orders.add(order_id)

    def _tell_oddly(self, prompt, body, *, believed=False, source=LISTED):
        """A callback that must change nothing but the review, which it must ask for if it lies."""
        prompt.odd = True
        if not believed:
            self.world.unbelievable[prompt.token].add(body)
        self._lives_through(lambda: self._deliver(prompt, body, source))

    def _deliver(self, prompt, body, source=LISTED):
        answer = self._ask(
            "POST", f"/callback/{prompt.token}", data=body, believed=source == LISTED
        )
        assert answer.status_code == 200, answer.text

    def _order_status(self, order_id):
        answer = self._ask("GET", f"/api/orders/{order_id}", headers=API_KEY)
        status: str = answer.get_json()["status"]
        return status

    def _accounts(self):
        self.books.look()
        return accounts(self.books, self.world)

    def _needless_reviews(self, account):
        """Nobody has to look where nothing odd was heard, or nobody would look where it counts."""
        row, prompt = account.row, account.prompt
        if (prompt is None and not account.by_hand) or account.age(self.now()) >= timedelta(
            hours=1
        ):
            return []
        if prompt is not None and (prompt.odd or prompt.code == 6666):
            return []
        if row["order_id"] in self.odd_orders | self.books.ended_orders or row["expires_at"]:
            return []
        money = self.world.money_for(row["reference"])
        if len(money) > 1 or any(each.disputed for each in money):
            return []
        usual = row["settles_order"] or row["status"] != "SUCCESS"
        return [f"a look at nothing: {row}"] if row["needs_review"] and usual else []

    def _paid(self):
        return [each for each in self._accounts() if each.paid]

    def _prompts(self, fate):
        return [each for each in self.world.prompts if each.fate is fate]

    @staticmethod
    def _pick(among, which):
        """Counted from the newest."""
        return among[-1 - which % len(among)]


class Stage:
    """One application, on which all stories are played: most take no longer than building it.

    Attributes:
        world, machine: of the story that is played now.
    """

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="mpesa-money-", dir=_memory()))
        self.file, self._migrated = folder / "mpesa.sqlite", folder / "migrated.sqlite"
        self.now = Clock(START)
        self.world: World | None = None
        self.machine: MoneyMachine | None = None
        settings = make_settings(
            DATABASE_URL=f"sqlite:///{self.file}",
            CALLBACK_ALLOWED_IPS="196.201.212.0/24",
            STK_PUSH_LIMIT_PER_PHONE="",
            STK_PUSH_LIMIT_PER_IP="",
            C2B_TOKEN="c2b0" * 8,
            C2B_PROOF_FROM=str(PROOF_FROM),
            PULL_NOMINATED_NUMBER="254722000000",
        )
        self._app = create_app(settings, daraja=self, now=self.now, monotonic=self.now.monotonic)
        # Errors are answered as in production, so that the machine can see that none is a 500.
        self._app.config["PROPAGATE_EXCEPTIONS"] = False
        with self._app.app_context():
            database.migrate()
            db.engine.dispose()
            shutil.copy(self.file, self._migrated)
            event.listen(db.engine, "before_cursor_execute", lambda *_: self._statement())
            event.listen(db.engine, "checkin", lambda *_: self._look())

    def certificate(self) -> bytes:
        """Nothing is sealed here."""
        return b""

    def __getattr__(self, name: str) -> Any:
        """Daraja, for the application."""
        return getattr(self.world, name)

    def clear(self) -> None:
        """Begin another story, with nothing in the database."""
        self.machine = None
        self.now.time, self.now.passed = START, 0.0
        self._forget()
        for file in self.file.parent.glob("mpesa.sqlite*"):
            file.unlink()
        shutil.copy(self._migrated, self.file)

    def application(self) -> Any:
        """The application as after a start: what a process has in memory is new."""
        self._forget()
        was, settings = self._app.extensions["mpesa"], self._app.extensions["mpesa"].settings
        tally = Tally(settings)
        self._app.extensions["mpesa"] = replace(
            was,
            limits=PushLimits(tally, settings),
            watch=deadlines.Watch(self.now, self.now.monotonic),
        )
        return self._app

    def _forget(self) -> None:
        with self._app.app_context():
            db.session.remove()
            db.engine.dispose()

    def _statement(self) -> None:
        if self.machine is not None:
            self.machine.before_statement()

    def _look(self) -> None:
        if self.machine is not None:
            self.machine.books.look()


@cache
def _stage() -> Stage:
    return Stage()


def _memory():
    """Where files need no disk: every story writes hundreds of times."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def tell_stories(seed_, count_=2):
    """Play some stories; the same seed tells the same ones.

    Hypothesis spends the first story of each run on nothing happening, and most later ones on
    variations: many short runs see more of the world than a long one.
    """
    machine = type("Story", (MoneyMachine,), {})
    seed(seed_)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count_,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# The same stories each time, so that `make test` tells of a change; `make soak` looks for new ones.
@pytest.mark.parametrize("number", range(STORIES))
def test_money_is_never_lost_nor_made_up(number):
    tell_stories(number)
