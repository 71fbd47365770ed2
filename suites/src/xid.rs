//! Error reports of NVIDIA's driver (Xids): which of them say that a GPU is no good.

/// The reports after which a GPU is not to be used before it was reset, restarted or looked after.
///
/// Source: NVIDIA's catalogue of Xids (<https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html>): those
/// whose immediate action is `RESET_GPU`, `RESTART_VM`, `RESTART_BM` or `CHECK_MECHANICALS`, and the two that lead there
/// by a work flow of their own, 48 (an error in memory that could not be corrected) and 74 (`NVLink`). Those that say
/// that a program was at fault (13, 31, 43, 45 and others) are not among them.
const FATAL: [(u32, &str); 19] = [
    (46, "it stopped processing"),
    (48, "an error in its memory could not be corrected"),
    (54, "its auxiliary power is not connected"),
    (62, "its micro-controller halted"),
    (64, "a bad row of its memory could not be replaced"),
    (74, "its NVLink failed"),
    (79, "it has fallen off the bus"),
    (95, "an error in its memory was not contained"),
    (109, "it did not switch between programs"),
    (110, "a security fault"),
    (119, "its system processor did not answer"),
    (120, "its system processor failed"),
    (136, "its link could not be trained"),
    (140, "an error in its memory was not recovered from"),
    (143, "it could not be initialised"),
    (151, "its keys could not be rotated"),
    (155, "its NVLink failed in software"),
    (156, "a part of it was given up"),
    (158, "a fatal time-out"),
];

/// What is wrong with the GPU, where the report is one after which it is no good; `None` where a program may be at fault.
pub fn fatal(code: u32) -> Option<&'static str> {
    FATAL.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}
