//! What a login shell says before it runs what it was told to (`echo Welcome` in its rc file): passed over, and kept for messages.

use crate::transport::exec::Tail;

/// Looks for the mark that stands before a command's own output.
#[derive(Debug)]
pub(super) struct Preface {
    mark: Vec<u8>,
    /// The bytes that may be the mark's beginning; `None` once it was seen.
    held: Option<Vec<u8>>,
}

impl Preface {
    /// What comes before `mark`.
    pub(super) fn before(mark: Vec<u8>) -> Self {
        Self { mark, held: Some(Vec::new()) }
    }

    pub(super) fn none() -> Self {
        Self { mark: Vec::new(), held: None }
    }

    /// Takes a chunk and returns what of it is the command's; what is not goes to `noise`, until the mark empties that.
    pub(super) fn pass<'a>(&mut self, chunk: &'a [u8], noise: &Tail) -> std::borrow::Cow<'a, [u8]> {
        let Some(held) = &mut self.held else { return chunk.into() };
        held.extend_from_slice(chunk);
        let found = held.windows(self.mark.len()).position(|window| window == self.mark);
        if let Some(at) = found {
            let own = held.split_off(at + self.mark.len());
            self.held = None;
            noise.clear();
            return own.into();
        }
        let rest = held.len().saturating_sub(self.mark.len() - 1);
        noise.push(&held[..rest]);
        held.drain(..rest);
        (&[][..]).into()
    }

    /// There is no more: what was held is noise as well.
    pub(super) fn end(&mut self, noise: &Tail) {
        noise.push(&self.held.take().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_commands_output_is_the_same_wherever_the_stream_is_cut(
            before in "[am\n]{0,30}",
            after in "[am#\n]{0,30}",
            cuts in prop::collection::vec(0_usize..80, 0..6),
        ) {
            let stream = format!("{before}mam#{after}").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= stream.len()).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();
            let (mut preface, noise) = (Preface::before(b"mam#".to_vec()), Tail::default());
            let (mut own, mut start) = (Vec::new(), 0);
            for cut in cuts {
                own.extend_from_slice(&preface.pass(&stream[start..cut], &noise));
                start = cut;
            }
            preface.end(&noise);
            prop_assert_eq!(String::from_utf8(own).unwrap(), after);
            prop_assert_eq!(noise.text(), "");
        }
    }

    #[test]
    fn what_is_said_without_a_mark_is_kept() {
        let (mut preface, noise) = (Preface::before(b"mark".to_vec()), Tail::default());
        for chunk in ["This account is ", "currently not avail", "able. mar"] {
            assert!(preface.pass(chunk.as_bytes(), &noise).is_empty());
        }
        preface.end(&noise);
        assert_eq!(noise.text(), "This account is currently not available. mar");
    }
}
