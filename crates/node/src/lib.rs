//! One member: the loop over raft, log and state; peer links; forwarding; leases; reads.
