//! Images that the store refuses to give: is it about them, or about all?
//!
//! An object may have a lock of its own (an owner, an encryption key), and then it is a row with an error. Where nothing at all
//! may be read, rows with errors would be all that there is, and the run is to end. Only another image can tell the two apart:
//! until one was read, what is refused waits here.

use std::sync::{Mutex, PoisonError};

use gpu_stores::StoreError;

use super::rows::Row;

/// So many refusals without one image that was read are about all of them: no more than shards may be open at a time, since
/// those that wait keep their shards open.
const ENOUGH: usize = 8;

/// What is to be done about a refusal, or about an image that was read.
pub(super) enum Verdict {
    /// These rows have an error, and the run goes on.
    Rows(Vec<Row>),
    /// Nothing may be read: the run ends.
    All(StoreError),
}

pub(super) struct Refused {
    state: Mutex<State>,
}

struct State {
    /// An image was read: what is refused is refused by itself.
    was_read: bool,
    waiting: Vec<(Row, StoreError)>,
    threads: usize,
}

impl Refused {
    pub(super) fn new(threads: usize) -> Self {
        Self { state: Mutex::new(State { was_read: false, waiting: Vec::new(), threads }) }
    }

    /// An image was read; gives what waited for that.
    pub(super) fn read(&self) -> Vec<Row> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.was_read = true;
        state.waiting.drain(..).map(|(row, _)| row).collect()
    }

    /// An image was refused.
    pub(super) fn refuse(&self, row: Row, error: StoreError) -> Verdict {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.was_read {
            return Verdict::Rows(vec![row]);
        }
        state.waiting.push((row, error));
        if state.waiting.len() < ENOUGH { Verdict::Rows(Vec::new()) } else { state.all() }
    }

    /// A thread has nothing left to fetch. The last one knows that nothing was read at all.
    pub(super) fn leave(&self) -> Verdict {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.threads = state.threads.saturating_sub(1);
        if state.threads == 0 { state.all() } else { Verdict::Rows(Vec::new()) }
    }
}

impl State {
    fn all(&mut self) -> Verdict {
        match self.waiting.pop() {
            Some((_, error)) => Verdict::All(error),
            None => Verdict::Rows(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use gpu_stores::Fault;

    use super::*;

    fn row(input: usize) -> Row {
        Row::failed(input, None, "not read")
    }

    fn error() -> StoreError {
        StoreError { verb: "read", what: "x".into(), fault: Fault::Denied("AccessDenied".into()) }
    }

    fn rows(verdict: Verdict) -> Option<Vec<usize>> {
        match verdict {
            Verdict::Rows(rows) => Some(rows.iter().map(|row| row.input).collect()),
            Verdict::All(_) => None,
        }
    }

    #[test]
    fn one_that_is_refused_beside_others_that_are_read_is_a_row_whichever_comes_first() {
        let refused = Refused::new(1);
        assert_eq!(rows(refused.refuse(row(1), error())), Some(vec![]), "nobody knows yet");
        assert_eq!(refused.read().len(), 1);
        assert_eq!(rows(refused.refuse(row(2), error())), Some(vec![2]));
        assert_eq!(rows(refused.leave()), Some(vec![]));
    }

    #[test]
    fn where_nothing_may_be_read_the_run_ends_be_it_one_image_or_many() {
        let many = Refused::new(2);
        let verdicts = Vec::from_iter((0..ENOUGH).map(|input| rows(many.refuse(row(input), error()))));
        assert!(verdicts[..ENOUGH - 1].iter().all(Option::is_some) && verdicts[ENOUGH - 1].is_none());
        let one = Refused::new(2);
        assert_eq!(rows(one.refuse(row(0), error())), Some(vec![]));
        assert_eq!(rows(one.leave()), Some(vec![]), "another thread may still read one");
        assert_eq!(rows(one.leave()), None);
    }
}
