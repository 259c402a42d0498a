/**
 * Sound made in the browser: drums and the bell, each begun at its moment of the city's clock, whenever it was heard of.
 *
 * Nothing sounds before the person has touched the page (browsers ask for that) nor in quiet mode. While nothing has sounded
 * for a while the device's sound rests: kept running it costs more than all else of a page in the background.
 */

const LATE_MS = 250;
const REST_MS = 12_000; // the bell sounds for nine seconds

export class Sound {
  private context: AudioContext | null = null;
  private rest: ReturnType<typeof setTimeout> | undefined;
  quiet = false;

  /** A person's gesture: sound may begin. */
  wake(): void {
    if (this.context !== null || typeof AudioContext !== "function") return;
    this.context = new AudioContext();
    this.restLater();
  }

  /** A drum in `inMs` milliseconds: voice 0 is low (kung), others high (deok). `near` 0..1. */
  drum(inMs: number, voice: number, near: number): void {
    this.play(inMs, (at) => {
      const low = voice === 0;
      this.tone(at, low ? 92 : 210, low ? 52 : 165, low ? 0.42 : 0.16, 0.55 * near);
      this.noise(at, low ? 300 : 1900, low ? 0.05 : 0.07, 0.3 * near);
    });
  }

  /** The great bell: a low note whose partials beat against each other for long. */
  bell(inMs: number, near: number): void {
    this.play(inMs, (at) => {
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
    });
  }

  /** A small sign that something was said to oneself. */
  chime(): void {
    this.play(0, (at) => {
      this.tone(at, 660, 660, 0.14, 0.05);
      this.tone(at + 0.09, 880, 880, 0.2, 0.05);
    });
  }

  /** Has `make` make a sound in `inMs` milliseconds, told when that is by the context's clock; not if it is too late. */
  private play(inMs: number, make: (at: number) => void): void {
    const { context } = this;
    if (context === null || this.quiet || inMs < -LATE_MS) return;
    const asked = performance.now();
    const begin = (): void => {
      const left = inMs - (performance.now() - asked);
      if (context.state === "running" && left >= -LATE_MS)
        make(context.currentTime + Math.max(0, left) / 1000);
    };
    if (context.state === "running") begin();
    else void context.resume().then(begin);
    this.restLater();
  }

  private restLater(): void {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => void this.context?.suspend(), REST_MS);
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
