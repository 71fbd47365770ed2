//! Hands out the inputs, shard by shard, as fast as they are taken.

use crossbeam_channel::Sender;

use super::gate::Gate;
use super::halt::Halt;
use super::plan::Plan;

/// Hands out the number of every input that is still to be done.
pub(super) fn run(plan: &Plan, gate: &Gate, halt: &Halt, inputs: &Sender<usize>) {
    for shard in plan.to_do() {
        let numbers = plan.inputs_of(shard);
        // By chance a shard may have no input at all: the collector hands it on at once.
        if numbers.is_empty() {
            continue;
        }
        if !gate.open(halt) {
            return;
        }
        for number in numbers {
            if halt.is_set() || inputs.send(number).is_err() {
                return;
            }
        }
    }
}
