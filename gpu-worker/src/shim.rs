//! The C++ shim's functions, safe to call: what libtorch has and tch does not.

use std::ffi::{CStr, CString, c_char, c_double, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::error::{Result, WorkerError};

/// The CPU for the shim's functions that take a device's number.
const CPU: c_int = -1;

#[repr(C)]
struct CModule {
    _opaque: [u8; 0],
}

type ReceiveCost = extern "C" fn(*mut c_void, *const c_char, c_double, c_double);
type NamedTensor = extern "C" fn(*mut c_void, *const c_char, *mut C_tensor);
type Forward = extern "C" fn(*mut c_void, *const C_tensor) -> *mut C_tensor;

#[link(name = "worker_shim", kind = "static")]
unsafe extern "C" {
    fn shim_free(text: *mut c_char);
    fn shim_version(parts: *mut u32);
    fn shim_set_deterministic(on: c_int) -> *mut c_char;
    fn shim_set_bf16_autocast(cuda: c_int, enabled: c_int) -> *mut c_char;
    fn shim_rng_state(device: c_int, state: *mut *mut C_tensor) -> *mut c_char;
    fn shim_set_rng_state(device: c_int, state: *const C_tensor) -> *mut c_char;
    fn shim_cuda_allocated(device: c_int, bytes: *mut i64) -> *mut c_char;
    fn shim_cuda_peak(device: c_int, bytes: *mut i64) -> *mut c_char;
    fn shim_cuda_reset_peak(device: c_int) -> *mut c_char;
    fn shim_own_stream(device: c_int) -> *mut c_char;
    fn shim_count_begin() -> *mut c_char;
    fn shim_count_end(receiver: *mut c_void, receive: ReceiveCost) -> *mut c_char;
    fn shim_adam(
        parameters: *const *const C_tensor,
        means: *const *const C_tensor,
        squares: *const *const C_tensor,
        count: usize,
        step: *const C_tensor,
        rate: c_double,
        beta1: c_double,
        beta2: c_double,
        epsilon: c_double,
    ) -> *mut c_char;
    fn shim_grad_norm(parameters: *const *const C_tensor, count: usize, norm: *mut c_double) -> *mut c_char;
    fn shim_clear_grads(parameters: *const *const C_tensor, count: usize) -> *mut c_char;
    fn shim_module_load(path: *const c_char, device: c_int, module: *mut *mut CModule) -> *mut c_char;
    fn shim_module_save(module: *const CModule, path: *const c_char) -> *mut c_char;
    fn shim_module_free(module: *mut CModule);
    fn shim_module_forward(
        module: *mut CModule,
        input: *const C_tensor,
        output: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn shim_module_train(module: *mut CModule, on: c_int) -> *mut c_char;
    fn shim_module_optimize(module: *mut CModule) -> *mut c_char;
    fn shim_module_parameters(
        module: *const CModule,
        receiver: *mut c_void,
        receive: NamedTensor,
    ) -> *mut c_char;
    fn shim_module_buffers(
        module: *const CModule,
        receiver: *mut c_void,
        receive: NamedTensor,
    ) -> *mut c_char;
    fn shim_trace(
        input: *const C_tensor,
        forward: Forward,
        model: *mut c_void,
        names: *const *const c_char,
        tensors: *const *const C_tensor,
        is_buffer: *const u8,
        count: usize,
        traced: *mut *mut CModule,
    ) -> *mut c_char;
}

/// Turns the shim's answer into a result.
fn answered(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null answer is a NUL-terminated text that the shim gave to us.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: it came from strdup and nothing else frees it.
    unsafe { shim_free(message) };
    Err(WorkerError::libtorch(&text))
}

fn pointers(tensors: &[Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

fn device_number(device: tch::Device) -> c_int {
    match device {
        tch::Device::Cuda(index) => c_int::try_from(index).unwrap_or(c_int::MAX),
        _ => CPU,
    }
}

fn path_text(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| WorkerError::Libtorch(format!("the path {} has a NUL byte in it", path.display())))
}

/// Version of the libtorch that was loaded, e.g. `2.11.0`.
pub(crate) fn libtorch_version() -> String {
    let mut parts = [0u32; 3];
    // SAFETY: the shim writes three numbers.
    unsafe { shim_version(parts.as_mut_ptr()) };
    parts.map(|part| part.to_string()).join(".")
}

/// Makes every operation that has a deterministic form use it, cuDNN and TorchScript included.
pub(crate) fn set_deterministic(on: bool) -> Result<()> {
    // SAFETY: plain values.
    answered(unsafe { shim_set_deterministic(c_int::from(on)) })
}

/// Mixed precision: matrix work in bfloat16 for as long as this lives.
pub(crate) struct Autocast {
    cuda: bool,
}

impl Autocast {
    pub(crate) fn bf16(device: tch::Device) -> Result<Self> {
        let cuda = device.is_cuda();
        // SAFETY: plain values.
        answered(unsafe { shim_set_bf16_autocast(c_int::from(cuda), 1) })?;
        Ok(Self { cuda })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: plain values. Switching off has nothing that can fail and nobody who could be told.
        let _ = answered(unsafe { shim_set_bf16_autocast(c_int::from(self.cuda), 0) });
    }
}

pub(crate) fn rng_state(device: tch::Device) -> Result<Tensor> {
    let mut state = std::ptr::null_mut();
    // SAFETY: on success the shim stores a tensor that is ours.
    answered(unsafe { shim_rng_state(device_number(device), &raw mut state) })?;
    // SAFETY: see above.
    Ok(unsafe { Tensor::from_ptr(state) })
}

/// Puts a device's random generator back to a state of [`rng_state`].
pub(crate) fn set_rng_state(device: tch::Device, state: &Tensor) -> Result<()> {
    // SAFETY: the tensor lives through the call.
    answered(unsafe { shim_set_rng_state(device_number(device), state.as_ptr()) })
}

/// Bytes that tensors hold on a CUDA device now.
pub(crate) fn cuda_allocated(device: tch::Device) -> Result<i64> {
    let mut bytes = 0;
    // SAFETY: the shim writes one number.
    answered(unsafe { shim_cuda_allocated(device_number(device), &raw mut bytes) })?;
    Ok(bytes)
}

/// The most bytes that tensors have held on a CUDA device since [`cuda_reset_peak`].
pub(crate) fn cuda_peak(device: tch::Device) -> Result<i64> {
    let mut bytes = 0;
    // SAFETY: the shim writes one number.
    answered(unsafe { shim_cuda_peak(device_number(device), &raw mut bytes) })?;
    Ok(bytes)
}

/// Begins a new peak.
pub(crate) fn cuda_reset_peak(device: tch::Device) -> Result<()> {
    // SAFETY: plain values.
    answered(unsafe { shim_cuda_reset_peak(device_number(device)) })
}

/// Gives this thread a stream of its own on a CUDA device: what it queues there runs beside what others queue.
pub(crate) fn own_stream(device: tch::Device) -> Result<()> {
    // SAFETY: plain values.
    answered(unsafe { shim_own_stream(device_number(device)) })
}

/// What one operation of libtorch costs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cost {
    /// e.g. `aten::conv2d`.
    pub(crate) name: String,
    /// Floating-point operations of its multiplications and additions.
    pub(crate) flops: f64,
    /// Bytes of the tensors that it takes and gives; 0 where it gives another view of what it takes.
    pub(crate) bytes: f64,
}

/// Runs `pass` once and tells the cost of each of its operations, in the order in which they ended.
pub(crate) fn counted(pass: impl FnOnce() -> Result<()>) -> Result<Vec<Cost>> {
    // SAFETY: plain values.
    answered(unsafe { shim_count_begin() })?;
    let outcome = pass();
    let mut costs: Vec<Cost> = Vec::new();
    // SAFETY: `receive_cost` gets back the list that it is given here.
    answered(unsafe { shim_count_end((&raw mut costs).cast(), receive_cost) })?;
    outcome.map(|()| costs)
}

extern "C" fn receive_cost(list: *mut c_void, name: *const c_char, flops: c_double, bytes: c_double) {
    // SAFETY: `counted` passes its own list, and the shim a NUL-terminated name.
    let (list, name) = unsafe { (&mut *list.cast::<Vec<Cost>>(), CStr::from_ptr(name)) };
    list.push(Cost { name: name.to_string_lossy().into_owned(), flops, bytes });
}

/// The constants of one Adam update.
pub(crate) struct AdamStep {
    pub(crate) rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) epsilon: f64,
}

/// One Adam update in libtorch's fused kernel; `step` is the number of this update.
pub(crate) fn adam(
    parameters: &[Tensor],
    means: &[Tensor],
    squares: &[Tensor],
    step: &Tensor,
    with: &AdamStep,
) -> Result<()> {
    assert!(
        parameters.len() == means.len() && means.len() == squares.len(),
        "Adam's state is one pair a parameter"
    );
    let (p, m, s) = (pointers(parameters), pointers(means), pointers(squares));
    // SAFETY: three lists of equal length of live tensors.
    answered(unsafe {
        shim_adam(
            p.as_ptr(),
            m.as_ptr(),
            s.as_ptr(),
            p.len(),
            step.as_ptr(),
            with.rate,
            with.beta1,
            with.beta2,
            with.epsilon,
        )
    })
}

/// The 2-norm over the gradients of all of these.
pub(crate) fn grad_norm(parameters: &[Tensor]) -> Result<f64> {
    let list = pointers(parameters);
    let mut norm = 0.0;
    // SAFETY: a list of live tensors; the shim writes one number.
    answered(unsafe { shim_grad_norm(list.as_ptr(), list.len(), &raw mut norm) })?;
    Ok(norm)
}

pub(crate) fn clear_grads(parameters: &[Tensor]) -> Result<()> {
    let list = pointers(parameters);
    // SAFETY: a list of live tensors.
    answered(unsafe { shim_clear_grads(list.as_ptr(), list.len()) })
}

/// A TorchScript module with its buffers.
pub(crate) struct Module(*mut CModule);

impl Module {
    pub(crate) fn load(path: &Path, device: tch::Device) -> Result<Self> {
        let path = path_text(path)?;
        let mut module = std::ptr::null_mut();
        // SAFETY: on success the shim stores a module that is ours.
        answered(unsafe { shim_module_load(path.as_ptr(), device_number(device), &raw mut module) })?;
        Ok(Self(module))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let path = path_text(path)?;
        // SAFETY: the module is live.
        answered(unsafe { shim_module_save(self.0, path.as_ptr()) })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = std::ptr::null_mut();
        // SAFETY: module and input are live; on success the shim stores a tensor that is ours.
        answered(unsafe { shim_module_forward(self.0, input.as_ptr(), &raw mut output) })?;
        // SAFETY: see above.
        Ok(unsafe { Tensor::from_ptr(output) })
    }

    pub(crate) fn set_train(&self, on: bool) -> Result<()> {
        // SAFETY: the module is live.
        answered(unsafe { shim_module_train(self.0, c_int::from(on)) })
    }

    /// Lets libtorch rewrite the module for inference; it has to be in evaluation mode and cannot be trained any more.
    pub(crate) fn optimize(&mut self) -> Result<()> {
        // SAFETY: the module is live, and nobody else uses it meanwhile.
        answered(unsafe { shim_module_optimize(self.0) })
    }

    /// The parameters by name; the tensors are the module's own, not copies.
    pub(crate) fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let mut list: Vec<(String, Tensor)> = Vec::new();
        // SAFETY: `receive` gets back the list that it is given here.
        answered(unsafe { shim_module_parameters(self.0, (&raw mut list).cast(), receive) })?;
        Ok(list)
    }

    /// The buffers by name (running statistics and the like); the tensors are the module's own.
    pub(crate) fn buffers(&self) -> Result<Vec<(String, Tensor)>> {
        let mut list: Vec<(String, Tensor)> = Vec::new();
        // SAFETY: `receive` gets back the list that it is given here.
        answered(unsafe { shim_module_buffers(self.0, (&raw mut list).cast(), receive) })?;
        Ok(list)
    }

    /// Traces `forward` with `input` into a module that owns the named parameters and buffers.
    pub(crate) fn trace<F>(
        input: &Tensor,
        parameters: &[(String, Tensor)],
        buffers: &[(String, Tensor)],
        forward: F,
    ) -> Result<Self>
    where
        F: FnMut(&Tensor) -> Result<Tensor>,
    {
        let all = || parameters.iter().chain(buffers);
        let texts = all()
            .map(|(name, _)| CString::new(name.replace('.', "_")).expect("our own names have no NUL"))
            .collect::<Vec<_>>();
        let names = texts.iter().map(|name| name.as_ptr()).collect::<Vec<_>>();
        let tensors = all().map(|(_, tensor)| tensor.as_ptr()).collect::<Vec<_>>();
        let is_buffer = (0..names.len()).map(|index| u8::from(index >= parameters.len())).collect::<Vec<_>>();
        let mut tracing = Tracing { forward, error: None };
        let mut module = std::ptr::null_mut();
        // SAFETY: lists of equal length of live values; `call::<F>` gets back the `Tracing<F>` that it is given here.
        let answer = answered(unsafe {
            shim_trace(
                input.as_ptr(),
                call::<F>,
                (&raw mut tracing).cast(),
                names.as_ptr(),
                tensors.as_ptr(),
                is_buffer.as_ptr(),
                names.len(),
                &raw mut module,
            )
        });
        match tracing.error {
            Some(error) => Err(error),
            None => answer.map(|()| Self(module)),
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: it is ours and freed once.
        unsafe { shim_module_free(self.0) };
    }
}

struct Tracing<F> {
    forward: F,
    error: Option<WorkerError>,
}

extern "C" fn call<F: FnMut(&Tensor) -> Result<Tensor>>(
    model: *mut c_void,
    input: *const C_tensor,
) -> *mut C_tensor {
    // SAFETY: `Module::trace` passes its own `Tracing<F>`, which nothing else touches meanwhile.
    let tracing = unsafe { &mut *model.cast::<Tracing<F>>() };
    // SAFETY: the shim's tensor lives through the call; the clone is a handle of its own.
    let input = unsafe { Tensor::clone_from_ptr(input.cast_mut()) };
    match (tracing.forward)(&input) {
        // The shim takes over the handle.
        Ok(output) => std::mem::ManuallyDrop::new(output).as_ptr().cast_mut(),
        Err(error) => {
            tracing.error = Some(error);
            std::ptr::null_mut()
        }
    }
}

extern "C" fn receive(list: *mut c_void, name: *const c_char, tensor: *mut C_tensor) {
    // SAFETY: the callers pass their own list, a NUL-terminated name and a tensor that becomes ours.
    let (list, name, tensor) = unsafe {
        (&mut *list.cast::<Vec<(String, Tensor)>>(), CStr::from_ptr(name), Tensor::from_ptr(tensor))
    };
    list.push((name.to_string_lossy().into_owned(), tensor));
}
