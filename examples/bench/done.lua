
-- Says how it went in one line of JSON; times are microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  local line = 'RESULT {"requests":%d,"duration_us":%d,"refused":%d,"failed":%d,'
    .. '"p50_us":%d,"p99_us":%d,"p999_us":%d}\n'
  io.write(string.format(line, summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
