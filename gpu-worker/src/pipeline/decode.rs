//! Decodes images and brings them to the model's size.

use crossbeam_channel::{Receiver, Sender};
use gpu_pixels::Unusable;
use tch::Tensor;

use super::budget::Budget;
use super::fetch::Fetched;
use super::halt::Halt;
use super::meter::Meter;
use super::picture::{About, Form};
use super::rows::Row;

/// An image ready for the model.
pub(super) struct Decoded {
    pub(super) input: usize,
    pub(super) pixels: Tensor,
    pub(super) about: About,
}

/// What a thread of this stage works with.
pub(super) struct Decode<'a> {
    pub(super) form: Form,
    pub(super) budget: &'a Budget,
    pub(super) halt: &'a Halt,
    pub(super) meter: &'a Meter,
}

impl Decode<'_> {
    /// One thread: decodes until there is nothing left.
    pub(super) fn run(&self, fetched: &Receiver<Fetched<'_>>, decoded: &Sender<Decoded>, rows: &Sender<Row>) {
        for image in fetched {
            let made = self.meter.busy(|| self.form.picture(&image.bytes, self.budget, self.halt));
            let sent = match made {
                Ok(Some(Ok(picture))) => {
                    self.meter.count(1, image.bytes.len());
                    let decoded_image =
                        Decoded { input: image.input, pixels: picture.pixels, about: picture.about };
                    // The encoded bytes are done with before the queue lets this one in.
                    drop(image);
                    decoded.send(decoded_image).is_ok()
                }
                Ok(Some(Err(Unusable(why)))) => {
                    self.meter.count(1, image.bytes.len());
                    rows.send(Row::failed(image.input, None, &why)).is_ok()
                }
                Ok(None) => return,
                Err(error) => {
                    self.halt.stop(error);
                    return;
                }
            };
            if !sent || self.halt.is_set() {
                return;
            }
        }
    }
}
