/**
 * Sound made in the browser: drums and the bell, each begun at its moment of the city's clock, whenever it was heard of.
 *
 * Nothing sounds before the person has touched the page (browsers ask for that) nor in quiet mode.
 */

const LATE_MS = 250;

export class Sound {
  private context: AudioContext | null = null;
  quiet = false;

  /** A person's gesture: sound may begin. */
  wake(): void {
    if (this.context === null && typeof AudioContext === "function") this.context = new AudioContext();
    if (this.context?.state === "suspended") void this.context.resume();
  }

  /** A drum in `inMs` milliseconds: voice 0 is low (kung), others high (deok). `near` 0..1. */
  drum(inMs: number, voice: number, near: number): void {
    const at = this.when(inMs);
    if (at === null || this.context === null) return;
    const low = voice === 0;
    this.tone(at, low ? 92 : 210, low ? 52 : 165, low ? 0.42 : 0.16, 0.55 * near);
    this.noise(at, low ? 300 : 1900, low ? 0.05 : 0.07, 0.3 * near);
  }

  /** The great bell: a low note whose partials beat against each other for long. */
  bell(inMs: number, near: number): void {
    const at = this.when(inMs);
    if (at === null || this.context === null) return;
    for (const [hertz, loud, seconds] of [
      [64, 0.32, 9],
      [64.6, 0.28, 9],
      [128.4, 0.16, 6],
      [168, 0.12, 5],
      [258, 0.07, 3],
      [394, 0.04, 1.6],
    ]) {
      this.tone(at, hertz, hertz, seconds, loud * near);
    }
    this.noise(at, 500, 0.06, 0.16 * near);
  }

  /** A small sign that something was said to oneself. */
  chime(): void {
    const at = this.when(0);
    if (at === null) return;
    this.tone(at, 660, 660, 0.14, 0.05);
    this.tone(at + 0.09, 880, 880, 0.2, 0.05);
  }

  private when(inMs: number): number | null {
    const context = this.context;
    if (context === null || this.quiet || context.state !== "running" || inMs < -LATE_MS) return null;
    return context.currentTime + Math.max(0, inMs) / 1000;
  }

  private tone(at: number, from: number, to: number, seconds: number, loud: number): void {
    const context = this.context;
    if (context === null || loud < 0.004) return;
    const source = context.createOscillator();
    const gain = context.createGain();
    source.frequency.setValueAtTime(from, at);
    source.frequency.exponentialRampToValueAtTime(to, at + Math.min(seconds, 0.3));
    gain.gain.setValueAtTime(0.0001, at);
    gain.gain.exponentialRampToValueAtTime(loud, at + 0.006);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + seconds);
    source.connect(gain).connect(context.destination);
    source.start(at);
    source.stop(at + seconds + 0.05);
  }

  private noise(at: number, hertz: number, seconds: number, loud: number): void {
    const context = this.context;
    if (context === null) return;
    const length = Math.ceil(context.sampleRate * seconds);
    const buffer = context.createBuffer(1, length, context.sampleRate);
    const samples = buffer.getChannelData(0);
    for (let i = 0; i < length; i++) samples[i] = (Math.random() * 2 - 1) * (1 - i / length) ** 2;
    const source = context.createBufferSource();
    source.buffer = buffer;
    const filter = context.createBiquadFilter();
    filter.type = "bandpass";
    filter.frequency.value = hertz;
    const gain = context.createGain();
    gain.gain.value = loud;
    source.connect(filter).connect(gain).connect(context.destination);
    source.start(at);
  }
}
