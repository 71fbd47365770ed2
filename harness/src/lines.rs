//! Lines out of a stream of chunks: whole ones only, so that a cut connection never yields half an event.

/// The longest line that is taken from a node. An event's text is at most 16 KiB, and JSON makes at most six
/// bytes of one; the longest is the answer that names each file of a tree that is missing.
const LONGEST: usize = 8 << 20;

/// Splits chunks into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

/// A node sent a line that is longer than any event can be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node sent a line of more than {LONGEST} bytes, which no event is")]
pub struct TooLong;

impl Lines {
    /// Takes a chunk and hands each line that it completes to `each`, without the newline.
    pub fn feed<E>(&mut self, chunk: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>
    where
        E: From<TooLong>,
    {
        let mut chunk = chunk;
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&chunk[..end], &chunk[end + 1..]);
            if self.rest.is_empty() {
                each(line)?;
            } else {
                self.rest.extend_from_slice(line);
                let whole = std::mem::take(&mut self.rest);
                each(&whole)?;
            }
            chunk = after;
        }
        if self.rest.len() + chunk.len() > LONGEST {
            return Err(TooLong.into());
        }
        self.rest.extend_from_slice(chunk);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, TooLong> {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, |line| {
                seen.push(line.to_vec());
                Ok::<_, TooLong>(())
            })?;
        }
        Ok(seen)
    }

    proptest! {
        #[test]
        fn lines_are_the_same_wherever_the_stream_is_cut(
            text in "[a-c\n]{0,80}",
            cuts in prop::collection::vec(0_usize..80, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
            cuts.sort_unstable();
            let (mut chunks, mut start) = (Vec::new(), 0);
            for cut in cuts {
                chunks.push(&text.as_bytes()[start..cut]);
                start = cut;
            }
            chunks.push(&text.as_bytes()[start..]);
            let mut whole: Vec<Vec<u8>> = text.split('\n').map(|line| line.as_bytes().to_vec()).collect();
            whole.pop();
            prop_assert_eq!(split(&chunks).unwrap(), whole);
        }
    }

    #[test]
    fn an_endless_line_is_refused_before_it_fills_the_memory() {
        let chunk = vec![b'x'; LONGEST / 2 + 1];
        assert_eq!(split(&[&chunk, &chunk]), Err(TooLong));
    }
}
