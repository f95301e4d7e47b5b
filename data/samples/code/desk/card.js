// SPDX-License-Identifier: Apache-2.0

/** Whether a card may borrow one more tool. */
export function mayBorrow(card, limit = 5) {
  return card.loans.length < limit && !card.late;
}
