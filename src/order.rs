//! Sorting: what the standard library has for it is some kB for every use.

use std::collections::BinaryHeap;

/// In the order of their keys, equal ones as they came. For a handful of items: lists as long as a configuration or a kernel's table.
pub fn ordered<T, Key: Ord>(items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> Key) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for item in items {
        let own = key(&item);
        let place = all.partition_point(|other| key(other) <= own);
        all.insert(place, item);
    }
    all
}

/// Many numbers, by a heap: a tenth of the code of `sort`.
pub fn sorted(numbers: Vec<u32>) -> Vec<u32> {
    BinaryHeap::from(numbers).into_sorted_vec()
}
