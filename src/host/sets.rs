//! Sets of numbers as bits, and how schedulers write them.

/// The numbers of a set, in order.
pub(super) fn members(mask: u64) -> Vec<u32> {
    (0..64).filter(|bit| mask >> bit & 1 == 1).collect()
}

/// The bits `from..=to`.
pub(super) fn span(from: u32, to: u32) -> u64 {
    (u64::MAX >> (63 - to)) & (u64::MAX << from)
}

/// The step of a set that has every so manieth number from its first up to `max`: three at least, or the halves of it all.
pub(super) fn step_to(mask: u64, max: u32) -> Option<u32> {
    let members = members(mask);
    let step = members.get(1)? - members[0];
    let even = members.windows(2).all(|pair| pair[1] - pair[0] == step);
    let tells = members.len() >= 3 || (max + 1).is_multiple_of(step);
    (tells && step > 1 && even && members.last()? + step > max).then_some(step)
}

/// The numbers as ranges and single ones, as in `1-5,8`.
pub(super) fn list(mask: u64, dash: &str, show: impl Fn(u32) -> String) -> String {
    let members = members(mask);
    let mut parts: Vec<String> = Vec::new();
    let mut at = 0;
    while at < members.len() {
        let run = (at..members.len()).take_while(|next| members[*next] - members[at] == (next - at) as u32).count();
        let (first, last) = (members[at], members[at + run - 1]);
        match run {
            1 => parts.push(show(first)),
            2 => parts.extend([show(first), show(last)]),
            _ => parts.push(format!("{}{dash}{}", show(first), show(last))),
        }
        at += run;
    }
    parts.join(",")
}
