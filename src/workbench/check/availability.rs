//! Checks that enough operations succeeded.

use std::fmt;
use std::str::FromStr;

use super::{Finding, Verdict};
use crate::workbench::history::Operation;
use crate::workbench::words::counted;

/// The share of operations that must succeed, as `--availability` takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Availability {
    /// All operations: `total`.
    Total,
    /// At least this fraction of the operations: a number from 0 to 1.
    Fraction(f64),
}

impl FromStr for Availability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "total" => Ok(Availability::Total),
            Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(Availability::Fraction(fraction)),
            _ => Err(format!(
                "{text:?} is neither \"total\" nor a number from 0 to 1"
            )),
        }
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Availability::Total => f.write_str("total"),
            Availability::Fraction(fraction) => write!(f, "{fraction}"),
        }
    }
}

/// How many unsuccessful operations a finding shows.
const EXAMPLES_MAX: usize = 5;

/// Counts the operations that succeeded among all operations. As upstream, refused and unanswered operations count as
/// unsuccessful. Without a demand, the verdict only has the fraction.
///
/// `is_success` returns whether an answer is a success: an error such as 20 (no such key) can be an answer too.
pub fn check<C, R>(
    history: &[Operation<C, R>],
    is_success: impl Fn(&R) -> bool,
    demand: Option<Availability>,
) -> Verdict {
    let is_ok = |operation: &Operation<C, R>| operation.outcome.answer().is_some_and(&is_success);
    let mut verdict = Verdict::valid();
    let ok_count = history.iter().filter(|operation| is_ok(operation)).count();
    // A run without operations counts as fully available.
    let fraction = if history.is_empty() {
        1.0
    } else {
        let fraction = ok_count as f64 / history.len() as f64;
        verdict.fact("ok_fraction", fraction);
        fraction
    };
    let is_enough = match demand {
        None => true,
        Some(Availability::Total) => ok_count == history.len(),
        Some(Availability::Fraction(least)) => fraction >= least,
    };
    if !is_enough {
        // The flag may be one of a challenge, which its user did not write.
        let demanded = match demand {
            Some(Availability::Fraction(least)) => format!(
                "An availability of at least {:.1}% is demanded (--availability {least})",
                least * 100.0
            ),
            _ => "Total availability is demanded (--availability total): all must succeed, during faults too".to_owned(),
        };
        let what = format!(
            "{ok_count} of {} succeeded. {demanded}.",
            counted(history.len(), "operation")
        );
        let unsuccessful = (0..history.len()).filter(|&index| !is_ok(&history[index]));
        verdict.add(Finding::violation(
            what,
            unsuccessful.take(EXAMPLES_MAX).collect::<Vec<_>>(),
        ));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::check::testing::*;
    use crate::workbench::history::Outcome;

    fn three_of_four() -> [Operation<(), ()>; 4] {
        let mut outcomes =
            [Outcome::Ok(()), failed(), Outcome::Ok(()), Outcome::Ok(())].into_iter();
        std::array::from_fn(|_| operation(0, 0..1, (), outcomes.next().unwrap()))
    }

    #[test]
    fn a_refused_operation_is_not_available() {
        assert_invalid(
            &check(&three_of_four(), |()| true, Some(Availability::Total)),
            "3 of 4 operations succeeded. Total availability is demanded (--availability total): all must succeed",
            &[1],
        );
        let too_much = Some(Availability::Fraction(0.76));
        assert_invalid(
            &check(&three_of_four(), |()| true, too_much),
            "3 of 4 operations succeeded. An availability of at least 76.0% is demanded (--availability 0.76).",
            &[1],
        );
    }

    #[test]
    fn a_fraction_that_is_met_will_do() {
        let met = Some(Availability::Fraction(0.75));
        assert_valid(&check(&three_of_four(), |()| true, met));
        let verdict = check(&three_of_four(), |()| true, None);
        assert_valid(&verdict);
        assert_eq!(verdict.facts["ok_fraction"], 0.75);
    }

    #[test]
    fn nothing_asked_is_nothing_refused() {
        let nothing: &[Operation<(), ()>] = &[];
        let verdict = check(nothing, |()| true, Some(Availability::Total));
        assert_valid(&verdict);
        assert!(verdict.facts.is_empty(), "{verdict:?}");
    }

    #[test]
    fn reads_what_the_flag_takes() {
        assert_eq!("total".parse(), Ok(Availability::Total));
        assert_eq!("0.9".parse(), Ok(Availability::Fraction(0.9)));
        for wrong in ["", "all", "1.1", "-0.1", "NaN"] {
            assert!(wrong.parse::<Availability>().is_err(), "{wrong}");
        }
    }
}
