//! Masking of secrets, in whole texts and in streams that come in pieces, before anything is kept or shown.

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, Input, MatchKind};

use crate::event::Stream;

/// What stands for a secret.
const MASK: &str = "***";

/// Replaces secrets. A clone shares what it knows.
#[derive(Clone)]
pub struct Masker(Arc<Known>);

struct Known {
    automaton: AhoCorasick,
    /// All forms of all secrets, sorted, so that those with a given beginning stand together.
    forms: Vec<Vec<u8>>,
    longest: usize,
    /// Which bytes a form begins with.
    first: [bool; 256],
}

impl Masker {
    /// A masker of these secrets, as they are printed; `None` if there are none.
    ///
    /// # Errors
    /// When there are more than can be looked for: gigabytes.
    pub fn new<'f>(secrets: impl IntoIterator<Item = &'f [u8]>) -> Result<Option<Self>, BuildError> {
        let mut forms: Vec<Vec<u8>> = secrets.into_iter().map(<[u8]>::to_vec).filter(|form| !form.is_empty()).collect();
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Ok(None);
        }
        // Where one secret begins like another, the whole of the longer one has to go. Of this kind because it is made
        // quickly, at each run's start; what it is slower at is skipped by looking for rare bytes first.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).kind(kind).build(&forms)?;
        let longest = forms.iter().map(Vec::len).max().unwrap_or_default();
        let mut first = [false; 256];
        forms.iter().filter_map(|form| form.first()).for_each(|&byte| first[usize::from(byte)] = true);
        Ok(Some(Self(Arc::new(Known { automaton, forms, longest, first }))))
    }

    /// The text without secrets.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = self.0.automaton.find_iter(text).peekable();
        if found.peek().is_none() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut from = 0;
        for secret in found {
            masked.extend_from_slice(&text.as_bytes()[from..secret.start()]);
            masked.extend_from_slice(MASK.as_bytes());
            from = secret.end();
        }
        masked.extend_from_slice(&text.as_bytes()[from..]);
        // A secret that is no text may have taken a part of a character.
        Cow::Owned(
            String::from_utf8(masked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }

    /// Where, from `from` on, the text's end begins that may become a secret with what follows it.
    fn unsure(&self, text: &[u8], from: usize) -> usize {
        let begin = from.max(text.len().saturating_sub(self.0.longest - 1));
        let is_beginning = |at: &usize| {
            let end = &text[*at..];
            self.0.first[usize::from(end[0])] && {
                let next = self.0.forms.partition_point(|form| form.as_slice() <= end);
                self.0.forms.get(next).is_some_and(|form| form.starts_with(end))
            }
        };
        (begin..text.len()).find(is_beginning).unwrap_or(text.len())
    }
}

/// Masks one stream that comes in pieces. What it hands on, put together, is the masked whole, wherever the pieces were
/// cut. It keeps back no more than what may be the beginning of a secret, and so less than the longest secret.
struct MaskStream {
    masker: Masker,
    /// What came and isn't handed on yet.
    held: Vec<u8>,
    masked: Vec<u8>,
}

impl MaskStream {
    fn new(masker: Masker) -> Self {
        Self { masker, held: Vec::new(), masked: Vec::new() }
    }

    /// What may be handed on once `piece` has come. An empty piece is the stream's end.
    fn pass<'a>(&'a mut self, piece: &'a [u8]) -> &'a [u8] {
        let is_end = piece.is_empty();
        let mut joined = std::mem::take(&mut self.held);
        let text = if joined.is_empty() {
            piece
        } else {
            joined.extend_from_slice(piece);
            joined.as_slice()
        };
        let unsure = |from| if is_end { text.len() } else { self.masker.unsure(text, from) };
        self.masked.clear();
        let (mut from, mut until) = (0, unsure(0));
        // One that begins where it isn't sure yet may turn out to be the beginning of a longer one.
        while let Some(secret) =
            self.masker.0.automaton.find(Input::new(text).range(from..)).filter(|secret| secret.start() < until)
        {
            self.masked.extend_from_slice(&text[from..secret.start()]);
            self.masked.extend_from_slice(MASK.as_bytes());
            from = secret.end();
            if from > until {
                until = unsure(from);
            }
        }
        self.held.extend_from_slice(&text[until..]);
        // The usual case: nothing to mask, nothing to copy.
        if from == 0 && joined.is_empty() {
            return &piece[..until];
        }
        self.masked.extend_from_slice(&text[from..until]);
        &self.masked
    }
}

/// Masks what an attempt prints. Each stream by itself: a secret may come in pieces with the other stream's in between.
pub(super) struct MaskStreams {
    stdout: MaskStream,
    stderr: MaskStream,
}

impl MaskStreams {
    pub(super) fn new(masker: &Masker) -> Self {
        Self { stdout: MaskStream::new(masker.clone()), stderr: MaskStream::new(masker.clone()) }
    }

    /// What may be handed on once `piece` has come. An empty piece is the stream's end.
    pub(super) fn pass<'a>(&'a mut self, stream: Stream, piece: &'a [u8]) -> &'a [u8] {
        match stream {
            Stream::Stdout => self.stdout.pass(piece),
            Stream::Stderr => self.stderr.pass(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masker(secrets: &[&str]) -> Option<Masker> {
        Masker::new(secrets.iter().map(|secret| secret.as_bytes())).unwrap()
    }

    /// What comes of the pieces, and the most that was kept back between them.
    fn in_pieces(masker: &Masker, pieces: &[&[u8]]) -> (Vec<u8>, usize) {
        let mut stream = MaskStream::new(masker.clone());
        let (mut masked, mut held) = (Vec::new(), 0);
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            masked.extend_from_slice(stream.pass(piece));
            held = held.max(stream.held.len());
        }
        masked.extend_from_slice(stream.pass(&[]));
        (masked, held)
    }

    #[test]
    fn nothing_secret_is_no_masker() {
        assert!(masker(&[]).is_none());
    }

    #[test]
    fn a_secret_goes_as_a_whole() {
        let masker = masker(&["hunter2", "hunter2-long", "unter"]).unwrap();
        assert_eq!(masker.mask("a hunter2, a hunter2-long, hunter, é"), "a ***, a ***, h***, é");
        assert_eq!(masker.mask("nothing"), "nothing");
        for text in ["x hunter2-lo", "hunter2-long", "hunter2hunter2-longhunterhunter2", "hunter2-lhunter2", "hunte"] {
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            let whole = masker.mask(text).into_owned();
            assert_eq!(String::from_utf8(in_pieces(&masker, &bytes).0).unwrap(), whole, "{text}");
        }
    }

    #[test]
    fn only_what_may_be_a_secret_is_kept_back() {
        let masker = masker(&["hunter2"]).unwrap();
        let mut stream = MaskStream::new(masker);
        assert_eq!(stream.pass(b"a line\n"), b"a line\n");
        assert_eq!(stream.pass(b"oh"), b"o");
        assert_eq!(stream.pass(b"unt"), b"");
        assert_eq!(stream.pass(b" is on"), b"hunt is on");
        assert_eq!(stream.pass(b"h"), b"");
        assert_eq!(stream.pass(b""), b"h");
    }

    proptest! {
        #[test]
        fn the_cuts_change_nothing(
            secrets in proptest::collection::vec("[ab]{1,6}", 1..5),
            pieces in proptest::collection::vec("[abc]{0,9}", 0..8),
        ) {
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let masker = masker(&secrets).unwrap();
            let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let (masked, held) = in_pieces(&masker, &bytes);
            let masked = String::from_utf8(masked).unwrap();
            let whole = pieces.concat();
            prop_assert_eq!(&masked, &masker.mask(&whole));
            prop_assert!(held < masker.0.longest);
            for secret in secrets {
                // What overlaps with another secret is gone with it.
                let apart = masked.split(MASK).any(|between| between.contains(secret));
                prop_assert!(!apart, "{} in {}", secret, masked);
            }
        }

        #[test]
        fn any_bytes_come_through(
            secrets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..5), 1..40),
            text in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 1usize..20,
        ) {
            let masker = Masker::new(secrets.iter().map(Vec::as_slice)).unwrap().unwrap();
            let whole = in_pieces(&masker, &[&text]).0;
            let pieces: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(in_pieces(&masker, &pieces).0, whole);
        }
    }
}
