"""Which rate turns a symbol's profit currency into the account's, decided once, at the start."""

from collections.abc import Iterable
from decimal import Decimal

from app.adapters.paper.book import Book, Rate
from app.adapters.paper.terms import PaperTerms
from app.domain.errors import ConfigurationError


def rate_of(book: Book, books: Iterable[Book], terms: PaperTerms) -> Rate:
    """Return the rate for `book`, the first of these that applies.

    1. The profit currency is the account's: 1.
    2. The account's currency is the symbol's base: 1 / the price of the deal.
    3. Another traded symbol joins both currencies: its latest bid, or 1 / that.
    4. `terms.conversion_rates`.

    Raises:
        ConfigurationError: none applies.

    """
    profit, account = book.rules.profit_currency, terms.currency
    if profit == account:
        return Rate(fixed=Decimal(1))
    if book.instrument.recognised and book.rules.base_currency == account:
        return Rate(inverse=True)
    for other in books:
        pair = (other.rules.base_currency, other.rules.profit_currency)
        if other.instrument.recognised and pair in {(profit, account), (account, profit)}:
            return Rate(through=other, inverse=pair[0] == account)
    given = terms.conversion_rates.get(profit)
    if given is None:
        raise ConfigurationError(
            f"the paper account is in {account} and profits of {book.symbol} in {profit}: no "
            f"traded symbol converts them, set BROKER_PAPER_CONVERSION_RATES={profit}=<{account} "
            f"for 1 {profit}>"
        )
    return Rate(fixed=Decimal(str(given)))
