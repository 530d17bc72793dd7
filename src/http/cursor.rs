//! Cursors: where a page ended, as a text that clients give back unchanged.
//!
//! A cursor of a list carries a fingerprint of its filters, so that it is refused under others
//! instead of silently leaving orders out. Cursors stay good over restarts.

use super::code::Code;
use super::error::ApiError;
use crate::order::{Position, Seq};
use crate::store::EventPlace;

/// The first byte of every cursor: which form it has.
const VERSION: u8 = 1;
const LIST: u8 = b'l';
const EVENTS: u8 = b'e';
/// Version, kind, a place and a small number.
const SIZE: usize = 14;

fn write(kind: u8, place: i64, number: u32) -> String {
    let mut bytes = [VERSION, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..10].copy_from_slice(&place.to_be_bytes());
    bytes[10..].copy_from_slice(&number.to_be_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(kind: u8, text: &str) -> Option<(i64, u32)> {
    if text.len() != 2 * SIZE || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; SIZE];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    let [version, found, middle @ .., a, b, c, d] = bytes;
    let place = i64::from_be_bytes(middle);
    let is_ours = version == VERSION && found == kind && place >= 0;
    // The one spelling that `write` has: no signs, no capitals.
    let number = u32::from_be_bytes([a, b, c, d]);
    (is_ours && write(kind, place, number) == text).then_some((place, number))
}

fn bad(detail: &'static str) -> ApiError {
    ApiError::new(Code::BadCursor, detail)
}

/// The cursor of a list that ended with this order.
pub(super) fn of_list(last: Seq, filters: u32) -> String {
    write(LIST, last.0, filters)
}

/// Reads a cursor of a list with these filters.
pub(super) fn list(text: &str, filters: u32) -> Result<Seq, ApiError> {
    match read(LIST, text) {
        Some((seq, found)) if found == filters => Ok(Seq(seq)),
        Some(_) => Err(bad("the cursor belongs to a list with other filters")),
        None => Err(bad("the cursor is not one of a list of orders")),
    }
}

/// The cursor of a page that ended with this event.
pub(super) fn of_events(last: EventPlace) -> String {
    write(EVENTS, last.position.0, last.index)
}

/// Reads a cursor of events, or an event's id, which is as good.
pub(super) fn events(text: &str) -> Result<EventPlace, ApiError> {
    let id = || {
        let (position, index) = text.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_id = digits(position) && digits(index);
        is_id.then_some((position.parse().ok()?, index.parse().ok()?))
    };
    let place = read(EVENTS, text).or_else(id);
    let (position, index) = place.ok_or_else(|| bad("the cursor is not one of events"))?;
    Ok(EventPlace {
        position: Position(position),
        index,
    })
}

/// A number that differs, as good as always, if the filters differ.
///
/// Source: FNV-1a, G. Fowler, L. C. Noll, K.-P. Vo, 1991. Written out because it must never change.
pub(super) fn fingerprint(filters: &str) -> u32 {
    filters.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_is_refused_elsewhere() {
        let filters = fingerprint("status=pending");
        let cursor = of_list(Seq(7), filters);
        assert_eq!(list(&cursor, filters).unwrap(), Seq(7));
        assert!(list(&cursor, fingerprint("status=dead")).is_err());
        assert!(events(&cursor).is_err());
        assert!(list(&cursor.to_uppercase(), filters).is_err() || !cursor.contains('e'));
    }

    #[test]
    fn an_event_id_is_a_cursor() {
        let place = EventPlace {
            position: Position(17),
            index: 3,
        };
        assert_eq!(events("17-3").unwrap(), place);
        assert_eq!(events(&of_events(place)).unwrap(), place);
        for bad in [
            "",
            "17",
            "-1-3",
            "+17-3",
            "17-",
            "99999999999999999999-1",
            "x-1",
        ] {
            assert_eq!(events(bad).unwrap_err().code(), Code::BadCursor, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", hex in "[0-9a-f]{28}") {
            for text in [text, hex] {
                let _ = events(&text);
                let _ = list(&text, 0);
            }
        }

        #[test]
        fn places_survive(position in 0..=i64::MAX, index: u32) {
            let place = EventPlace { position: Position(position), index };
            prop_assert_eq!(events(&of_events(place)).unwrap(), place);
        }
    }
}
