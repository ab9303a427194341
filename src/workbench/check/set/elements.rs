//! A set in a reply, stored as ranges of numbers.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::workbench::json::Json;

/// The elements of a set in a reply.
///
/// Clients add ascending whole numbers, and nodes hold nearly all of them. So the numbers are stored as ranges: a set
/// of a hundred thousand elements takes a few bytes. The order of the reply is not kept, because a set has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elements {
    /// Ascending, not overlapping or adjacent.
    ranges: Vec<RangeInclusive<u64>>,
    /// The repeated numbers: each one as often as it occurs beyond the first time.
    repeated: Vec<u64>,
    /// The values that are not whole numbers, which no client adds.
    strange: Vec<Json>,
}

impl Elements {
    /// The numbers in the set, as ascending ranges.
    pub fn ranges(&self) -> &[RangeInclusive<u64>] {
        &self.ranges
    }

    /// The numbers that the reply holds more than once.
    pub fn repeated(&self) -> &[u64] {
        &self.repeated
    }

    /// The values that are not whole numbers.
    pub fn strange(&self) -> &[Json] {
        &self.strange
    }

    fn of(mut numbers: Vec<u64>, strange: Vec<Json>) -> Self {
        numbers.sort_unstable();
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        let mut repeated = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some(last) if *last.end() == number => repeated.push(number),
                Some(last) if last.end() + 1 == number => *last = *last.start()..=number,
                _ => ranges.push(number..=number),
            }
        }
        ranges.shrink_to_fit();
        Elements {
            ranges,
            repeated,
            strange,
        }
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements, A::Error> {
                let (mut numbers, mut strange) = (Vec::new(), Vec::new());
                while let Some(element) = list.next_element::<&RawValue>()? {
                    match element.get().parse() {
                        Ok(number) => numbers.push(number),
                        Err(_) => strange.push(Json::read(element)),
                    }
                }
                Ok(Elements::of(numbers, strange))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// Serializes all elements: the numbers in ascending order, then the other values.
impl Serialize for Elements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut repeated = self.repeated.iter().peekable();
        for number in self.ranges.iter().cloned().flatten() {
            list.serialize_element(&number)?;
            while let Some(again) = repeated.next_if_eq(&&number) {
                list.serialize_element(again)?;
            }
        }
        for element in &self.strange {
            list.serialize_element(element)?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_but_the_order_of_a_reply_is_kept() {
        let reply = json!([7, 1, 3, 2, "x", 2, u64::MAX, 1.5]);
        let elements: Elements = serde_json::from_str(&reply.to_string()).expect("a list");
        assert_eq!(elements.ranges(), [1..=3, 7..=7, u64::MAX..=u64::MAX]);
        assert_eq!(elements.repeated(), [2]);
        assert_eq!(elements.strange(), [json!("x").into(), json!(1.5).into()]);
        assert_eq!(
            serde_json::to_value(&elements).expect("JSON"),
            json!([1, 2, 2, 3, 7, u64::MAX, "x", 1.5])
        );
    }

    #[test]
    fn what_is_no_list_is_called_that() {
        let error = serde_json::from_str::<Elements>("5").expect_err("no list");
        assert!(error.to_string().contains("expected a list"), "{error}");
    }
}
