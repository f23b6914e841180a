/** A duration as definitions write it: `2s`, `1500ms`; at most a day. */
export function durationText(ms: number): string {
  const whole = Math.min(Math.ceil(ms), 86_400_000);
  return whole > 0 && whole % 1000 === 0 ? `${whole / 1000}s` : `${whole}ms`;
}
