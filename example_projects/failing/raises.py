"""Fails with a real traceback: an error that is caught and raised again as another one."""

import json

ORDERS = '[{"id": 17, "price": "12,50 €"}, {"id": 18, "price": "9.00"}]'


class BadOrder(Exception):
    """An order that can't be booked."""


def price_of(order: dict) -> float:
    return float(order["price"])


def book(order: dict) -> float:
    try:
        return price_of(order)
    except ValueError as error:
        raise BadOrder(f"order {order['id']} has no usable price") from error


def main() -> None:
    orders = json.loads(ORDERS)
    print(f"booking {len(orders)} orders")
    print("total:", sum(book(order) for order in orders))


if __name__ == "__main__":
    main()
