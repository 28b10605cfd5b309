//! The Bitnami comparer: `X.Y.Z-N`, where a revision is newer than none.

use std::cmp::Ordering;

use super::npm::Triple;
use super::part::{Part, compare_pre_releases, has_any, is_null};
use super::scan::Operator;

pub(super) fn compare(a: &Triple, b: &Triple) -> Ordering {
    a.compare_core(b).unwrap_or_else(|| match (is_null(&a.pre), is_null(&b.pre)) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        _ => compare_pre_releases(&a.pre, &b.pre),
    })
}

pub(super) fn matches(version: &Triple, operator: Operator, bound: &Triple) -> bool {
    let below = |end: &Triple| compare(version, end).is_lt();
    match operator {
        Operator::Less => below(&least(bound)),
        _ => {
            operator.holds(compare(version, bound))
                && match operator {
                    Operator::Tilde => below(&bound.tilde_end()),
                    Operator::Caret => below(&bound.caret_end()),
                    _ => true,
                }
        }
    }
}

/// The bound with zeros for wildcards.
fn least(bound: &Triple) -> Triple {
    let zero = |part: &Part| if *part == Part::Any { Part::Number(0) } else { part.clone() };
    let pre = if has_any(&bound.pre) { Vec::new() } else { bound.pre.clone() };
    Triple { core: bound.core.each_ref().map(zero), pre }
}
