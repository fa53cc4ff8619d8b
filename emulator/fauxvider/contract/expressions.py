"""Formulas of a contract: a closed grammar over exact decimals, compiled into closures. Pure.

    sum    := product (("+" | "-") product)*         number := "0.25", never "1e3"
    choice := test ["if" test "else" choice]         test   := sum [("<" | "<=" | ...) sum]
    call   := ceil(x) floor(x) abs(x) min(x, y...) max(x, y...) round(x [, digits [, "mode"]])

The parser is our own: Python's would read 0.01 as a binary float, and counts as compiling code.
Nothing here has attributes, indexes, powers, strings (but a rounding mode) or loops, so a formula
of the longest legal length stays under 100 microseconds.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final, NoReturn, TypeAlias

from fauxvider.errors import ExpressionError

__all__ = ["FUNCTIONS", "ROUNDING_MODES", "compile_formula", "exact_context", "round_to"]

Names: TypeAlias = Mapping[str, Decimal]
Formula: TypeAlias = Callable[[Names], Decimal]

ROUNDING_MODES: dict[str, str] = {
    "down": decimal.ROUND_DOWN,
    "up": decimal.ROUND_UP,
    "half_even": decimal.ROUND_HALF_EVEN,
    "half_up": decimal.ROUND_HALF_UP,
    "ceiling": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
}

MAX_LENGTH: Final = 500
MAX_NODES: Final = 200
MAX_DEPTH: Final = 20
MAX_DIGITS: Final = 18  # on either side of a literal's point


def exact_context() -> decimal.Context:
    """Give a decimal context of 40 digits and exponents within +-30 that refuses nonsense."""
    return decimal.Context(
        prec=40,
        rounding=decimal.ROUND_HALF_EVEN,
        Emin=-30,
        Emax=30,
        traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.FloatOperation],
    )


_EXACT = exact_context()


def round_to(value: Decimal, digits: int, mode: str) -> Decimal:
    """Round to `digits` after the point (-30..30) in one of ROUNDING_MODES."""
    if int(value.as_tuple().exponent) >= -digits:
        return value
    return value.quantize(Decimal((0, (1,), -digits)), rounding=ROUNDING_MODES[mode], context=_EXACT)


def _whole(mode: str) -> Callable[[Decimal], Decimal]:
    return lambda value: value.to_integral_value(rounding=mode, context=_EXACT)


# name -> (function of decimals, least and most arguments); `round` has a shape of its own.
FUNCTIONS: dict[str, tuple[Callable[..., Decimal], int, int]] = {
    "ceil": (_whole(decimal.ROUND_CEILING), 1, 1),
    "floor": (_whole(decimal.ROUND_FLOOR), 1, 1),
    "abs": (_EXACT.abs, 1, 1),
    "min": (min, 2, MAX_NODES),
    "max": (max, 2, MAX_NODES),
    "round": (round_to, 1, 3),
}

_SUMS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {"+": _EXACT.add, "-": _EXACT.subtract}
_PRODUCTS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {"*": _EXACT.multiply, "/": _EXACT.divide}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}

_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?(?![0-9A-Za-z_.]))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<word>\"[a-z_]*\"|'[a-z_]*')"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>(),])"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A compiled piece: what it computes, and whether that is yes or no instead of a number."""

    run: Callable[[Names], Any]
    is_test: bool = False


def compile_formula(text: str, names: Collection[str]) -> Formula:
    """Compile a formula over the given names into a function of their values.

    The function computes with 40 digits, and raises ExpressionError where the arithmetic has no
    answer (division by zero, a value beyond 10^30, a name that has no finite value).
    Raises ExpressionError, with the 1-based column, for a text outside the grammar.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise ExpressionError(f"a formula is a text of at most {MAX_LENGTH} characters")
    parser = _Parser(text, names)
    run = parser.formula()
    used = tuple(sorted(parser.used))

    def formula(values: Names) -> Decimal:
        try:
            known = {name: _EXACT.plus(values[name]) for name in used}
            for name, value in known.items():
                if not value.is_finite():
                    _impossible(text, f"{name} is not a finite number")
            result: Decimal = run(known)
        except KeyError as missing:
            _impossible(text, f"{missing.args[0]} has no value")
        except (ArithmeticError, TypeError) as problem:
            _impossible(text, _reason(problem))
        return result

    return formula


def _impossible(text: str, reason: str) -> NoReturn:
    raise ExpressionError(f"the formula {_short(text)} has no answer: {reason}") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _reason(problem: Exception) -> str:
    if isinstance(problem, ZeroDivisionError):
        return "division by zero"
    return "a value is out of range" if isinstance(problem, ArithmeticError) else "a value is not a number"


class _Parser:
    def __init__(self, text: str, names: Collection[str]) -> None:
        self._text = text
        self._names = names
        self._tokens = self._scan()
        self._at = 0
        self._nodes = 0
        self._depth = 0
        self.used: set[str] = set()

    def formula(self) -> Callable[[Names], Decimal]:
        part = self._number(self._choice)
        if self._next.kind != "end":
            self._fail(f"unexpected {self._next.text!r}")
        return part

    # --- tokens

    def _scan(self) -> list[_Token]:
        tokens, at, text = [], 0, self._text
        while at < len(text):
            if text[at] in " \t\n":
                at += 1
                continue
            found = _TOKEN.match(text, at)
            if found is None:
                raise ExpressionError(f"column {at + 1}: unexpected {text[at]!r} in the formula {_short(text)}")
            tokens.append(_Token(str(found.lastgroup), found[0], at + 1))
            at = found.end()
        return [*tokens, _Token("end", "the end", len(text) + 1)]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> str:
        """Step over the next token if it is one of these; give its text, else nothing."""
        token = self._next
        if token.kind in ("sign", "name") and token.text in texts:
            self._at += 1
            return token.text
        return ""

    def _need(self, text: str) -> None:
        if not self._take(text):
            self._fail(f"expected {text!r}, found {self._next.text!r}")

    def _fail(self, problem: str, *, token: _Token | None = None) -> NoReturn:
        column = (token or self._next).column
        raise ExpressionError(f"column {column}: {problem} in the formula {_short(self._text)}")

    # --- grammar; every method gives a compiled part

    def _count(self, run: Callable[[Names], Any], *, is_test: bool = False) -> _Part:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fail(f"more than {MAX_NODES} operations")
        return _Part(run, is_test)

    def _number(self, parse: Callable[[], _Part]) -> Callable[[Names], Any]:
        token = self._next
        part = parse()
        if part.is_test:
            self._fail("a comparison stands where a number is needed", token=token)
        return part.run

    def _choice(self) -> _Part:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH}")
        token = self._next
        part = self._test()
        if self._take("if"):
            if part.is_test:
                self._fail("a comparison stands where a number is needed", token=token)
            at = self._next
            condition = self._test()
            if not condition.is_test:
                self._fail("expected a comparison", token=at)
            self._need("else")
            then, test, other = part.run, condition.run, self._number(self._choice)
            part = self._count(lambda names: then(names) if test(names) else other(names))
        self._depth -= 1
        return part

    def _test(self) -> _Part:
        token = self._next
        part = self._sum()
        sign = self._take(*_TESTS)
        if not sign:
            return part
        if part.is_test:
            self._fail("a comparison stands where a number is needed", token=token)
        compare, left, right = _TESTS[sign], part.run, self._number(self._sum)
        return self._count(lambda names: compare(left(names), right(names)), is_test=True)

    def _sum(self) -> _Part:
        return self._chain(_SUMS, self._product)

    def _product(self) -> _Part:
        return self._chain(_PRODUCTS, self._sign)

    def _chain(self, signs: Mapping[str, Callable[[Decimal, Decimal], Decimal]], parse: Callable[[], _Part]) -> _Part:
        token = self._next
        part = parse()
        while sign := self._take(*signs):
            if part.is_test:
                self._fail("a comparison stands where a number is needed", token=token)
            part = self._count(_binary(signs[sign], part.run, self._number(parse)))
        return part

    def _sign(self) -> _Part:
        if not (sign := self._take("-", "+")):
            return self._atom()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested deeper than {MAX_DEPTH}")
        run = self._number(self._sign)
        self._depth -= 1
        return self._count((lambda names: _EXACT.minus(run(names))) if sign == "-" else run)

    def _atom(self) -> _Part:
        token = self._next
        self._at += 1
        if token.kind == "number":
            return self._literal(token)
        if token.kind == "name" and token.text not in ("if", "else"):
            return self._call(token) if self._take("(") else self._name(token)
        if token.text != "(":
            self._fail(f"unexpected {token.text!r}", token=token)
        part = self._choice()
        self._need(")")
        return part

    def _literal(self, token: _Token) -> _Part:
        whole, _, fraction = token.text.partition(".")
        if len(whole) > MAX_DIGITS or len(fraction) > MAX_DIGITS:
            self._fail(f"a number has at most {MAX_DIGITS} digits on either side of the point", token=token)
        value = Decimal(token.text)
        return self._count(lambda _names: value)

    def _name(self, token: _Token) -> _Part:
        name = token.text
        if name not in self._names:
            self._fail(f"there is no name {name!r} (allowed: {' '.join(sorted(self._names))})", token=token)
        self.used.add(name)
        return self._count(lambda names: names[name])

    def _call(self, token: _Token) -> _Part:
        if token.text not in FUNCTIONS:
            self._fail(f"there is no function {token.text!r} (allowed: {' '.join(FUNCTIONS)})", token=token)
        if token.text == "round":
            return self._round()
        function, least, most = FUNCTIONS[token.text]
        runs = [self._number(self._choice)]
        while self._take(","):
            runs.append(self._number(self._choice))
        self._need(")")
        if not least <= len(runs) <= most:
            self._fail(f"{token.text} takes {least if least == most else f'{least} or more'} values", token=token)
        if most == 1:
            run = runs[0]
            return self._count(lambda names: function(run(names)))
        return self._count(lambda names: function([run(names) for run in runs]))

    def _round(self) -> _Part:
        run, digits, mode = self._number(self._choice), 0, "half_even"
        if self._take(","):
            minus = self._take("-")
            token = self._next
            if token.kind != "number" or not token.text.isdigit() or int(token.text[:9]) > 30:
                self._fail("round takes a whole number of digits, at most 30")
            digits = -int(token.text) if minus else int(token.text)
            self._at += 1
        if self._take(","):
            token = self._next
            mode = token.text[1:-1]
            if token.kind != "word" or mode not in ROUNDING_MODES:
                self._fail(f"round takes a mode (allowed: {' '.join(ROUNDING_MODES)})")
            self._at += 1
        self._need(")")
        return self._count(lambda names: round_to(run(names), digits, mode))


def _binary(
    operate: Callable[[Decimal, Decimal], Decimal], left: Callable[[Names], Any], right: Callable[[Names], Any]
) -> Callable[[Names], Decimal]:
    return lambda names: operate(left(names), right(names))
