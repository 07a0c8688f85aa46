package demo;

/** Calls a method at a rate, for tests that watch it: `java Busy.java CALLS_A_SECOND`. */
public class Busy {
    public static void main(String[] arguments) throws InterruptedException {
        long interval = 1_000_000_000L / Long.parseLong(arguments[0]);
        long due = System.nanoTime();
        for (long number = 0;; number++) {
            work(number);
            due += interval;
            long left = due - System.nanoTime();
            if (left > 0) {
                Thread.sleep(left / 1_000_000, (int) (left % 1_000_000));
            }
        }
    }

    static long work(long number) {
        return number;
    }
}
