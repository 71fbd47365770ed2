//! What a GPU's name tells of its compute capability: EC2 names the GPU of an instance type, and nothing more.

use gpu_suites::gpu::Sm;

/// Compute capability by the names that `DescribeInstanceTypes` gives in `GpuInfo`; source: NVIDIA's tables at
/// <https://developer.nvidia.com/cuda-gpus> and <https://developer.nvidia.com/cuda-legacy-gpus>, read in November 2026.
const CAPABILITIES: [(&str, Sm); 16] = [
    ("K80", Sm::new(3, 7)),
    ("M60", Sm::new(5, 2)),
    ("V100", Sm::new(7, 0)),
    ("T4", Sm::new(7, 5)),
    ("T4g", Sm::new(7, 5)),
    ("A100", Sm::new(8, 0)),
    ("A10G", Sm::new(8, 6)),
    ("A10", Sm::new(8, 6)),
    ("L4", Sm::new(8, 9)),
    ("L40S", Sm::new(8, 9)),
    ("H100", Sm::new(9, 0)),
    ("H200", Sm::new(9, 0)),
    ("B200", Sm::new(10, 0)),
    ("B300", Sm::new(10, 3)),
    ("RTX PRO Server 6000", Sm::new(12, 0)),
    ("RTX PRO 6000", Sm::new(12, 0)),
];

/// The compute capability of NVIDIA's GPU of this name; `None` where the name is not known, or is another maker's.
pub(super) fn capability(gpu_name: &str) -> Option<Sm> {
    let name = gpu_name.trim();
    let name = name.strip_prefix("NVIDIA ").unwrap_or(name).replace("Tesla ", "");
    CAPABILITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).map(|&(_, sm)| sm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gpu_that_ec2_names_has_its_capability_and_another_makers_has_none() {
        for (name, expected) in [
            ("T4", Some("sm_75")),
            ("T4g", Some("sm_75")),
            ("A10G", Some("sm_86")),
            ("A100", Some("sm_80")),
            ("L4", Some("sm_89")),
            ("L40S", Some("sm_89")),
            ("V100", Some("sm_70")),
            ("H100", Some("sm_90")),
            ("H200", Some("sm_90")),
            ("B200", Some("sm_100")),
            ("B300", Some("sm_103")),
            ("RTX PRO Server 6000", Some("sm_120")),
            ("NVIDIA Tesla M60", Some("sm_52")),
            ("Radeon Pro V520", None),
            ("Gaudi HL-205", None),
            ("L4000", None),
            ("", None),
        ] {
            assert_eq!(capability(name).map(|sm| sm.to_string()).as_deref(), expected, "{name}");
        }
    }
}
