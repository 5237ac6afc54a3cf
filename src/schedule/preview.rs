//! What lies ahead of several schedules, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;

use super::Schedule;

/// A planned instant of one of several schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    /// When.
    pub at: Timestamp,
    /// Which of the schedules, from 0.
    pub schedule: usize,
}

/// The planned instants of all these schedules strictly after one, in order; at the same instant in the schedules' order.
pub fn merged<'a>(schedules: &'a [&'a Schedule], after: Timestamp) -> impl Iterator<Item = Planned> + 'a {
    let next = |schedule: usize, after: Timestamp| {
        let at = schedules.get(schedule)?.next_after(after)?;
        Some(Reverse(Planned { at, schedule }))
    };
    let mut heads: BinaryHeap<_> = (0..schedules.len()).filter_map(|schedule| next(schedule, after)).collect();
    std::iter::from_fn(move || {
        let Reverse(planned) = heads.pop()?;
        heads.extend(next(planned.schedule, planned.at));
        Some(planned)
    })
}
