//! Sorting of short lists off the hot paths. The standard library's sorts are compiled anew for each type, six kilobytes at a
//! time; here the sorting itself is compiled once, and a type adds its comparison. Equal elements keep their order.

use std::cmp::Ordering;

/// Sorts in ascending order.
pub fn ascending<T: Ord>(list: &mut [T]) {
    by(list, Ord::cmp);
}

/// Sorts by what `key` tells of an element; it is asked anew at each comparison.
pub fn by_key<T, K: Ord>(list: &mut [T], mut key: impl FnMut(&T) -> K) {
    by(list, |a, b| key(a).cmp(&key(b)));
}

/// Sorts by a comparison.
pub fn by<T>(list: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let order = order(list.len(), &mut |a, b| match (list.get(a), list.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    arrange(order, &mut |a, b| list.swap(a, b));
}

/// The positions in sorted order.
#[inline(never)]
fn order(len: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

/// Brings to each position the element that `order` names for it, along the cycles of the permutation.
#[inline(never)]
fn arrange(mut order: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut to = start;
        while let Some(next) = order.get_mut(to) {
            let from = std::mem::replace(next, to);
            if from == start || from == to {
                break;
            }
            swap(to, from);
            to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_the_standard_library(list in prop::collection::vec((0u8..20, any::<u16>()), 0..100)) {
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            let mut sorted = list.clone();
            by_key(&mut sorted, |(key, _)| *key);
            prop_assert_eq!(&sorted, &expected);
            ascending(&mut sorted);
            expected.sort();
            prop_assert_eq!(&sorted, &expected);
            by(&mut sorted, |a, b| b.cmp(a));
            expected.reverse();
            prop_assert_eq!(sorted, expected);
        }
    }
}
