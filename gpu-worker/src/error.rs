//! Why the worker cannot go on: what happened, to what, and what to do next.

use std::borrow::Cow;
use std::path::PathBuf;

use gpu_suites::metrics::Blame;
use tch::TchError;

/// Everything that ends a case before it could be judged: see [`WorkerError::fault`] for whose fault it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("{path} is no case that this gpu-worker understands: {cause}")]
    Case { path: PathBuf, cause: String },
    #[error("failed to read the golden losses in {}: {cause}", path.display())]
    Golden { path: PathBuf, cause: String },
    #[error("the case {id} has nothing for a worker to do")]
    NothingToDo { id: String },
    #[error("no dtype of the case can be measured here: {reasons}")]
    NoDtype { reasons: String },
    #[error("model `{model}` cannot learn the task `{task}`")]
    TaskOfModel { model: &'static str, task: &'static str },
    #[error("cannot write the metrics: {0}")]
    Metrics(std::io::Error),
    #[error("cannot read the image {path}: {cause}")]
    Image { path: PathBuf, cause: String },
    #[error("cannot read the boxes {path}: {cause}")]
    Boxes { path: PathBuf, cause: String },
    #[error("{path} line {line}: {cause}")]
    BoxesLine { path: PathBuf, line: u64, cause: String },
    #[error("cannot cut {wanted} crops from {path}: {cause}")]
    Crops { path: PathBuf, wanted: usize, cause: String },
    #[error("`size: {size}` is more than {limit}")]
    TooLarge { size: u32, limit: u32 },
    #[error("cannot write {path}: {cause}")]
    Artifact { path: PathBuf, cause: String },
    #[error("{path} is not a TorchScript model that libtorch {libtorch} can load: {cause}")]
    Script { path: PathBuf, libtorch: String, cause: String },
    #[error("the model's output has the shape {output:?}, the target {target:?} (input {input:?})")]
    Shape { input: Vec<i64>, output: Vec<i64>, target: Vec<i64> },
    #[error("the U-Net halves its input three times: `size: {size}` is not divisible by {multiple}")]
    Size { size: i64, multiple: i64 },
    #[error("{path} has no parameter that can be trained")]
    NoParameters { path: PathBuf },
    #[error("CUDA was asked for and is not usable: {0}")]
    Cuda(String),
    #[error("{0}")]
    Part(Box<dyn Trouble>),
    #[error("out of memory on {device}: {cause}")]
    OutOfMemory { device: &'static str, cause: String },
    #[error("the case needs more memory than the GPU has: {cause}")]
    TooMuch { cause: String },
    #[error("the GPU failed: {0}")]
    Gpu(String),
    #[error("libtorch failed: {0}")]
    Libtorch(String),
    #[error("the model raised: {0}")]
    Raised(String),
    #[error("libtorch {found} was loaded, this gpu-worker is built for {wanted}")]
    Version { found: String, wanted: &'static str },
}

/// What ends a part of the worker that has errors of its own: here nobody knows that part.
pub(crate) trait Trouble: std::error::Error + Send + Sync {
    fn fault(&self) -> Blame;
    fn hint(&self) -> Cow<'static, str>;
}

pub(crate) type Result<T> = std::result::Result<T, WorkerError>;

impl WorkerError {
    /// Sorts an exception of libtorch by its text: it has no codes.
    pub(crate) fn libtorch(text: &str) -> Self {
        let cause = first_paragraph(text);
        let lower = cause.to_lowercase();
        if lower.contains("cuda out of memory") || lower.contains("cuda error: out of memory") {
            match Capacity::told(&lower) {
                Some(told) if told.is_own_doing() => Self::TooMuch { cause },
                _ => Self::OutOfMemory { device: "the GPU", cause },
            }
        } else if lower.contains("can't allocate memory") || lower.contains("bad_alloc") {
            Self::OutOfMemory { device: "the CPU", cause }
        } else if ["cuda error", "cudnn error", "cublas error", "cudnn_status", "cublas_status"]
            .iter()
            .any(|word| lower.contains(word))
        {
            Self::Gpu(cause)
        } else {
            Self::Libtorch(cause)
        }
    }

    /// The same of what the user's own model threw while it computed.
    pub(crate) fn of_model(self) -> Self {
        match self {
            Self::Libtorch(cause) => Self::Raised(cause),
            other => other,
        }
    }

    /// Whose fault it is: what is given to the case and cannot be right on any node is the code's. So CI does not try again
    /// what would end the same way.
    pub(crate) fn fault(&self) -> Blame {
        match self {
            Self::Raised(_)
            | Self::Shape { .. }
            | Self::Script { .. }
            | Self::NoParameters { .. }
            | Self::TaskOfModel { .. }
            | Self::Size { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch { .. }
            | Self::Image { .. }
            | Self::Boxes { .. }
            | Self::BoxesLine { .. }
            | Self::Crops { .. }
            | Self::Golden { .. } => Blame::Code,
            Self::Part(trouble) => trouble.fault(),
            Self::Case { .. }
            | Self::NothingToDo { .. }
            | Self::NoDtype { .. }
            | Self::Metrics(_)
            | Self::Artifact { .. }
            | Self::Cuda(_)
            | Self::OutOfMemory { .. }
            | Self::Gpu(_)
            | Self::Libtorch(_)
            | Self::Version { .. } => Blame::Node,
        }
    }

    pub(crate) fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Case { .. } => "use the gpu-worker that came with this gpu-harness",
            Self::Golden { .. } => "write {} to the file; `gpu-harness golden` fills it after a run",
            Self::NothingToDo { .. } => {
                "gpu-worker runs cases with `train:`, `throughput:` or `pipeline:`; others run by themselves"
            }
            Self::NoDtype { .. } => "add fp32, which every device has, or use a device that has them",
            Self::TaskOfModel { .. } => "use `unet` for `segment` and `resnet18` for `classify`",
            Self::Metrics(_) => "the supervisor reads them; look at what ended it",
            Self::Image { .. } => "give a PNG, JPEG, TIFF or WebP file that an image viewer opens",
            Self::Boxes { .. } | Self::BoxesLine { .. } => {
                "give a CSV file with a header and the columns xmin, ymin, xmax, ymax in pixels of the image"
            }
            Self::Crops { .. } => "ask for fewer `crops`, or use an image with more background",
            Self::TooLarge { .. } => "the whole image is one batch: a few hundred pixels show as much",
            Self::Artifact { .. } => "look at the space left on the node's disk",
            Self::Script { .. } => {
                "save it with torch.jit.script(model).save(path) or torch.jit.trace(…).save(path)"
            }
            Self::Shape { .. } => {
                "`segment` wants logits [N, 1, H, W] as large as the input, `classify` wants logits [N, K] with K ≥ 2"
            }
            Self::Size { .. } => "use a `size` like 128, 160 or 256",
            Self::NoParameters { .. } => {
                "leave requires_grad on for what is to be trained; a frozen module has none"
            }
            Self::Part(trouble) => return trouble.hint(),
            Self::TooMuch { .. } => {
                "use a smaller `batch` or `size`, or ask for a larger GPU: `gpu: { memory: 48 GiB }`"
            }
            Self::Raised(_) => {
                "its forward() threw: try it in Python with an input of the shape that docs/suites.md says"
            }
            Self::Cuda(_) => {
                "leave `device` out to use the CPU where there is no GPU, or see `gpu-harness selfcheck`"
            }
            Self::OutOfMemory { .. } => {
                "use a smaller `size`, fewer `crops` or a narrower model, or a larger node"
            }
            Self::Gpu(_) => {
                "see `gpu-harness selfcheck` and the node's kernel log for an XID; try another node"
            }
            Self::Libtorch(_) => "the case's log has libtorch's own words",
            Self::Version { .. } => "point the node's libtorch setting (or LIBTORCH) at that version",
        })
    }
}

impl From<TchError> for WorkerError {
    fn from(error: TchError) -> Self {
        match error {
            TchError::Torch(text) => Self::libtorch(&text),
            other => Self::libtorch(&other.to_string()),
        }
    }
}

/// What libtorch tells of a GPU's memory when it has run out of it, in bytes.
struct Capacity {
    total: f64,
    /// What this process holds, tensors and all.
    own: f64,
    asked: f64,
}

impl Capacity {
    /// "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.00 GiB is free. … this process has
    /// 22.00 GiB memory in use."
    fn told(lower: &str) -> Option<Self> {
        let after = |words: &str| {
            let mut parts = lower.split_once(words)?.1.split_whitespace();
            let (number, unit) = (parts.next()?.parse::<f64>().ok()?, parts.next()?);
            let scale = match unit.trim_end_matches(['.', ',']) {
                "gib" => f64::from(1 << 30),
                "mib" => f64::from(1 << 20),
                "kib" => f64::from(1 << 10),
                _ => return None,
            };
            Some(number * scale)
        };
        Some(Self {
            total: after("total capacity of ")?,
            own: after("this process has ").unwrap_or(0.0),
            asked: after("tried to allocate ")?,
        })
    }

    /// Whether it would not have fitted on a GPU of this size that nobody else uses. A tenth is the driver's.
    fn is_own_doing(&self) -> bool {
        self.own + self.asked >= 0.9 * self.total
    }
}

/// The part of an exception's text before its stack of C++ frames.
fn first_paragraph(text: &str) -> String {
    let ends = ["\nException raised from", "\nframe #"].map(|mark| text.find(mark).unwrap_or(text.len()));
    text[..ends[0].min(ends[1])].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_sorted_by_its_text_and_loses_its_frames() {
        let cpu = "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried \
                   to allocate 8 bytes.\nException raised from alloc (most recent call first):\nframe #0";
        let WorkerError::OutOfMemory { device: "the CPU", cause } = WorkerError::libtorch(cpu) else {
            panic!("{cpu}")
        };
        assert!(cause.ends_with("8 bytes."), "{cause}");
        let frames = "can't allocate memory\nframe #0: c10::alloc_cpu";
        assert!(!WorkerError::libtorch(frames).to_string().contains("frame"));
        let gpu = "CUDA out of memory. Tried to allocate 2.00 GiB.";
        assert!(matches!(WorkerError::libtorch(gpu), WorkerError::OutOfMemory { device: "the GPU", .. }));
        let of = |own: f64| {
            format!(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.00 GiB is \
                 free. Process 9 has 1.00 GiB memory in use. Including non-PyTorch memory, this process has {own:.2} GiB \
                 memory in use."
            )
        };
        let own = WorkerError::libtorch(&of(21.0));
        assert!(matches!(own, WorkerError::TooMuch { .. }) && own.fault() == Blame::Code, "{own}");
        let others = WorkerError::libtorch(&of(4.0));
        assert!(
            matches!(others, WorkerError::OutOfMemory { .. }) && others.fault() == Blame::Node,
            "{others}"
        );
        let raised = WorkerError::libtorch("shape '[2, 3]' is invalid").of_model();
        assert!(matches!(raised, WorkerError::Raised(_)) && raised.fault() == Blame::Code, "{raised}");
        assert_eq!(
            WorkerError::libtorch("CUDA error: unspecified launch failure").of_model().fault(),
            Blame::Node
        );
        assert!(matches!(WorkerError::libtorch("CUDA error: an illegal memory access"), WorkerError::Gpu(_)));
        assert!(matches!(WorkerError::libtorch("size mismatch"), WorkerError::Libtorch(_)));
    }
}
