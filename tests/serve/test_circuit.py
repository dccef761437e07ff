from __future__ import annotations

from trueup.serve.circuit import Circuit, CircuitRule

SECOND = 1_000_000_000


def opened() -> Circuit:
    circuit = Circuit(CircuitRule(failures=3, rest_s=5.0))
    assert [circuit.failed(0) for _ in range(3)] == [False, False, True]
    return circuit


def test_it_opens_after_failures_in_a_row_and_says_so_once() -> None:
    circuit = opened()
    assert circuit.is_open
    assert not circuit.failed(1)


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Circuit(CircuitRule(failures=2))
    for _ in range(4):
        assert not circuit.failed(0)
        assert not circuit.succeeded()
    assert circuit.lets_through(0)


def test_an_open_circuit_lets_one_request_through_after_its_rest() -> None:
    circuit = opened()
    assert not circuit.lets_through(5 * SECOND - 1)
    assert circuit.lets_through(5 * SECOND)
    assert not circuit.lets_through(5 * SECOND + 1)
    assert circuit.lets_through(10 * SECOND)


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_makes_it_rest_again() -> None:
    circuit = opened()
    assert circuit.lets_through(5 * SECOND)
    assert not circuit.failed(6 * SECOND)
    assert not circuit.lets_through(11 * SECOND - 1)
    assert circuit.lets_through(11 * SECOND)
    assert circuit.succeeded()
    assert circuit.lets_through(11 * SECOND)


def test_a_model_that_was_mended_is_asked_with_the_next_request() -> None:
    circuit = opened()
    assert not circuit.lets_through(SECOND)
    circuit.ask_again()
    assert circuit.lets_through(SECOND)
    assert not circuit.lets_through(SECOND)
    assert circuit.succeeded()
