//! On Windows.

/// There is no root; what an administrator does for the machine is asked for by name.
pub(crate) fn is_root() -> bool {
    false
}
