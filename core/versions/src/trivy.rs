//! What Trivy makes of versions and ranges.
