//! What a daemon has to say to whoever looks at it.

/// How a [`Word`] is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Something happens as it should.
    Plain,
    /// A run has succeeded.
    Good,
    /// Something is to be looked at.
    Warning,
    /// A run has failed, or something couldn't be done.
    Bad,
}

/// A line. It begins with the name of the project that it is about, if it is about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// How it is meant.
    pub weight: Weight,
    /// The line.
    pub text: String,
}

/// Hears [`Word`]s, from any thread.
pub type Tell = dyn Fn(Word) + Send + Sync;

pub(super) fn plain(text: impl Into<String>) -> Word {
    Word { weight: Weight::Plain, text: text.into() }
}

pub(super) fn warning(text: impl Into<String>) -> Word {
    Word { weight: Weight::Warning, text: text.into() }
}

pub(super) fn bad(text: impl Into<String>) -> Word {
    Word { weight: Weight::Bad, text: text.into() }
}
