//! Sorting for a handful of items: what the standard library has for it is some kB for every use.
//!
//! For lists as long as a configuration or a kernel's table.

/// In the order of their keys, equal ones as they came.
pub fn ordered<T, Key: Ord>(items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> Key) -> Vec<T> {
    let mut all: Vec<T> = Vec::new();
    for item in items {
        let place = all.partition_point(|other| key(other) <= key(&item));
        all.insert(place, item);
    }
    all
}
